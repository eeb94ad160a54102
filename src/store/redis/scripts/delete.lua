-- Forgets an article; returns its head.
--
-- KEYS: the article, the listing, the revised, submissions on their way. ARGV: id hash, the moment
-- before which articles are forgotten, the moment before which others have been on their way for too
-- long, and, if it is to be forgotten for its age, that age.
local head, way = head_and_way(KEYS[1])
if way and began_in(way) > tonumber(ARGV[3]) then return {'busy'} end
local at = head and tonumber(number_in(head))
if ARGV[4] and at and at >= tonumber(ARGV[4]) then return {'kept'} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], ARGV[1])
if not head then return {'none'} end
redis.call('ZREM', KEYS[2], ARGV[1] .. fingerprint_in(head))
redis.call('ZREM', KEYS[3], ARGV[1])
if at < tonumber(ARGV[2]) then return {'none'} end
return {'deleted', head}
