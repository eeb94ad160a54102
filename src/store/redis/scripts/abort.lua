-- Takes back what was begun, if it was not committed.
--
-- KEYS: the article, submissions on their way. ARGV: id hash, number.
local head, way = head_and_way(KEYS[1])
if way and number_in(way) == ARGV[2] then
  if head then
    redis.call('HDEL', KEYS[1], 'p', 'p.asked', 'c' .. place_of_way(way))
  else
    redis.call('DEL', KEYS[1])
  end
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return {}
