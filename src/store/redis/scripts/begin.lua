-- Begins a submission: what an article will be compared by stands beside what is remembered under
-- its id until it is committed. Nothing of it is seen but by others that are on their way. In the same
-- step it is entered in those of its lists that are on the shard of its id.
--
-- KEYS: the article, submissions on their way, whether the collection is gone, the lists. ARGV: id,
-- id hash, number (microseconds), content hash, what it is compared by, the moment before which others
-- have been on their way for too long, the moment before which articles are forgotten, now, for how
-- long in ms the beginning of a new article is kept, and what enter.lua asks for.
if redis.call('EXISTS', KEYS[3]) == 1 then return {'gone'} end
local head, way = head_and_way(KEYS[1])
if head and id_in(head) ~= ARGV[1] or way and string.sub(way, 34) ~= ARGV[1] then
  return {'taken'}
end
local is_live = head and tonumber(number_in(head)) >= tonumber(ARGV[7])
if is_live and hash_in(head) == ARGV[4] then
  return {'same', redis.call('HGET', KEYS[1], 'article')}
end
if head and tonumber(number_in(head)) >= tonumber(ARGV[3]) then return {'behind', number_in(head)} end
local is_another = way and number_in(way) ~= ARGV[3]
if is_another and began_in(way) > tonumber(ARGV[6]) then return {'busy'} end
local place = head and place_in(head) == '0' and '1' or '0'
redis.call('HSET', KEYS[1], 'p', ARGV[3] .. ARGV[8] .. place .. ARGV[1], 'c' .. place, ARGV[5])
if is_another then redis.call('HDEL', KEYS[1], 'p.asked') end
if head then
  redis.call('ZADD', KEYS[2], ARGV[8], ARGV[2])
else
  -- A new article that is left there goes by itself.
  redis.call('PEXPIRE', KEYS[1], ARGV[9])
end
return {'begun', is_live and head or '', enter(4, 10)}
