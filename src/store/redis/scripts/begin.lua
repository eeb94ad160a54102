-- Begins a submission: what an article will be compared by stands beside what is remembered under
-- its id until it is committed. Nothing of it is seen but by others that are on their way.
--
-- KEYS: the article, submissions on their way, whether the collection is gone. ARGV: id, id hash,
-- number (microseconds), content hash, what it is compared by, the moment before which others have
-- been on their way for too long, the moment before which articles are forgotten, now, and for how
-- long in ms the beginning is kept.
if redis.call('EXISTS', KEYS[3]) == 1 then return {'gone'} end
local at, id, hash, revision, first, story, fingerprint, keys, pending, began = unpack(redis.call(
  'HMGET', KEYS[1], 'at', 'id', 'hash', 'revision', 'first', 'story', 'fingerprint', 'keys',
  'p.at', 'p.began'))
if id and id ~= ARGV[1] then return {'taken'} end
local is_live = at and tonumber(at) >= tonumber(ARGV[7])
if is_live and hash == ARGV[4] then
  return {'same', redis.call('HGET', KEYS[1], 'article'), at}
end
if at and tonumber(at) >= tonumber(ARGV[3]) then return {'behind', at} end
if pending and pending ~= ARGV[3] and tonumber(began) > tonumber(ARGV[6]) then return {'busy'} end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'p.at', ARGV[3], 'p.candidate', ARGV[5],
  'p.began', ARGV[8])
if pending and pending ~= ARGV[3] then redis.call('HDEL', KEYS[1], 'p.asked') end
if not at then redis.call('PEXPIRE', KEYS[1], ARGV[9]) end
redis.call('ZADD', KEYS[2], ARGV[8], ARGV[2])
if not is_live then return {'begun', '', '', '', '', '', ''} end
return {'begun', at, revision, first, story, fingerprint, keys}
