-- Forgets an article.
--
-- KEYS: the article, the listing, the revised, submissions on their way. ARGV: id hash, the moment
-- before which articles are forgotten, the moment before which others have been on their way for too
-- long, and, if it is to be forgotten for its age, that age.
local at, story, keys, fingerprint, pending, began = unpack(redis.call(
  'HMGET', KEYS[1], 'at', 'story', 'keys', 'fingerprint', 'p.at', 'p.began'))
if pending and tonumber(began) > tonumber(ARGV[3]) then return {'busy'} end
if ARGV[4] and at and tonumber(at) >= tonumber(ARGV[4]) then return {'kept'} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], ARGV[1])
if not at then return {'none'} end
redis.call('ZREM', KEYS[2], ARGV[1] .. fingerprint)
redis.call('ZREM', KEYS[3], ARGV[1])
if tonumber(at) < tonumber(ARGV[2]) then return {'none'} end
return {'deleted', story, keys, fingerprint}
