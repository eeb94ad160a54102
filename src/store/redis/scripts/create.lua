-- Makes a collection, or changes its settings.
--
-- KEYS: the registry. ARGV: name, settings or '' for those it has, settings if it is new, how many
-- collections there may be, logical shards of a new one. Returns its number (4 bytes), its shards (4),
-- the second in which its settings were changed last (4; 0 if never), and the settings.
local known = redis.call('HGET', KEYS[1], 'c:' .. ARGV[1])
if known then
  if ARGV[2] ~= '' and string.sub(known, 13) ~= ARGV[2] then
    local second = tonumber(redis.call('TIME')[1])
    known = string.sub(known, 1, 8) .. struct.pack('>I4', second) .. ARGV[2]
    redis.call('HSET', KEYS[1], 'c:' .. ARGV[1], known)
    redis.call('HINCRBY', KEYS[1], 'version', 1)
  end
  return {'known', known}
end
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or '0')
if count >= tonumber(ARGV[4]) then return {'full', tostring(count)} end
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
redis.call('HINCRBY', KEYS[1], 'count', 1)
redis.call('HINCRBY', KEYS[1], 'version', 1)
local settings = ARGV[2] ~= '' and ARGV[2] or ARGV[3]
known = struct.pack('>I4I4I4', number, tonumber(ARGV[5]), 0) .. settings
redis.call('HSET', KEYS[1], 'c:' .. ARGV[1], known)
return {'known', known}
