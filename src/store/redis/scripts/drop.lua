-- Takes a collection out of the registry, and notes that its data is to be removed.
--
-- KEYS: the registry. ARGV: name.
local known = redis.call('HGET', KEYS[1], 'c:' .. ARGV[1])
if not known then return {'none'} end
redis.call('HSET', KEYS[1], 'd:' .. string.sub(known, 1, 8), '')
redis.call('HDEL', KEYS[1], 'c:' .. ARGV[1])
redis.call('HINCRBY', KEYS[1], 'count', -1)
redis.call('HINCRBY', KEYS[1], 'version', 1)
return {'dropped', string.sub(known, 1, 8)}
