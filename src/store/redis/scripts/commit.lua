-- Commits a submission: from here on the article is remembered, everywhere at once.
--
-- KEYS: the article, the listing, the revised, submissions on their way, the log, whether the
-- collection is gone, and, if the article begins a story, the stories and that story. ARGV: id hash,
-- number, those that asked to be looked at and were, content hash, article, story, canonical
-- article, posting keys, fingerprint or '', revision, number of the first revision, time to live in
-- ms or 0, the moment before which articles are forgotten, '1' if something is left to be done after
-- it, the line for the log, and how long the log may be.
local id, number, looked_at = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', KEYS[6]) == 1 then return {'gone'} end
local at, pending, asked, fingerprint =
  unpack(redis.call('HMGET', KEYS[1], 'at', 'p.at', 'p.asked', 'fingerprint'))
if at == number then return {'done'} end
if pending ~= number then return {'lost'} end
local unanswered = ''
for place = 1, #(asked or ''), 32 do
  local reader = string.sub(asked, place, place + 31)
  if not string.find(looked_at, reader, 1, true) then unanswered = unanswered .. reader end
end
if unanswered ~= '' then return {'asked', unanswered} end

redis.call('HSET', KEYS[1], 'at', number, 'candidate', redis.call('HGET', KEYS[1], 'p.candidate'),
  'hash', ARGV[4], 'article', ARGV[5], 'story', ARGV[6], 'canonical', ARGV[7], 'keys', ARGV[8],
  'fingerprint', ARGV[9], 'revision', ARGV[10], 'first', ARGV[11])
redis.call('HDEL', KEYS[1], 'p.at', 'p.candidate', 'p.began', 'p.asked')
if at then redis.call('ZREM', KEYS[2], id .. fingerprint) end
redis.call('ZADD', KEYS[2], number, id .. ARGV[9])
if ARGV[10] ~= '1' then
  -- By when it was committed, not by when it was taken: a listing that begins in between has
  -- passed its old place or will not come to it.
  local time = redis.call('TIME')
  local moment = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('ZADD', KEYS[3], moment, id)
end
if ARGV[14] == '1' then
  redis.call('ZADD', KEYS[4], number, id)
else
  redis.call('ZREM', KEYS[4], id)
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[16], '*', 'a', ARGV[15])
local ttl = tonumber(ARGV[12])
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) else redis.call('PERSIST', KEYS[1]) end
if KEYS[8] then
  redis.call('ZADD', KEYS[8], number, id)
  redis.call('ZADD', KEYS[7], number, ARGV[6])
  if ttl > 0 then redis.call('PEXPIRE', KEYS[8], ttl) else redis.call('PERSIST', KEYS[8]) end
end
if tonumber(ARGV[13]) > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[13])
end
return {'done'}
