-- Takes back what was begun, if it was not committed.
--
-- KEYS: the article, submissions on their way. ARGV: id hash, number.
local at, pending = unpack(redis.call('HMGET', KEYS[1], 'at', 'p.at'))
if pending == ARGV[2] then
  if at then
    redis.call('HDEL', KEYS[1], 'p.at', 'p.candidate', 'p.began', 'p.asked')
  else
    redis.call('DEL', KEYS[1])
  end
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return {}
