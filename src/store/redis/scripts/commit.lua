-- Commits a submission: from here on the article is remembered, everywhere at once.
--
-- KEYS: the article, the listing, the revised, submissions on their way, the log, whether the
-- collection is gone, and, if the article begins a story, the stories and that story. ARGV: id hash,
-- head, those that asked to be looked at and were, article, time to live in ms or 0, the moment before
-- which articles are forgotten, '1' if something is left to be done after it, the line for the log,
-- and how long the log may be.
local id, looked_at = ARGV[1], ARGV[3]
local number = number_in(ARGV[2])
if redis.call('EXISTS', KEYS[6]) == 1 then return {'gone'} end
local earlier, way, asked = head_and_way(KEYS[1], 'p.asked')
if earlier and number_in(earlier) == number then return {'done'} end
if not way or number_in(way) ~= number then return {'lost'} end
local unanswered = ''
for place = 1, #(asked or ''), 32 do
  local reader = string.sub(asked, place, place + 31)
  if not string.find(looked_at, reader, 1, true) then unanswered = unanswered .. reader end
end
if unanswered ~= '' then return {'asked', unanswered} end

local head = number .. place_of_way(way) .. string.sub(ARGV[2], 18)
redis.call('HSET', KEYS[1], 'head', head, 'article', ARGV[4], 'p', '')
if asked then redis.call('HDEL', KEYS[1], 'p.asked') end
if earlier then
  redis.call('HDEL', KEYS[1], 'c' .. place_in(earlier))
  redis.call('ZREM', KEYS[2], id .. fingerprint_in(earlier))
end
redis.call('ZADD', KEYS[2], number, id .. fingerprint_in(head))
if string.sub(head, 74, 77) ~= '\0\0\0\1' then
  -- By when it was committed, not by when it was taken: a listing that begins in between has
  -- passed its old place or will not come to it.
  local time = redis.call('TIME')
  local moment = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('ZADD', KEYS[3], moment, id)
end
if ARGV[7] == '1' then
  redis.call('ZADD', KEYS[4], number, id)
elseif earlier then
  redis.call('ZREM', KEYS[4], id)
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[9], '*', 'a', ARGV[8])
local ttl = tonumber(ARGV[5])
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) else redis.call('PERSIST', KEYS[1]) end
if KEYS[8] then
  redis.call('ZADD', KEYS[8], number, id)
  redis.call('ZADD', KEYS[7], number, story_in(head))
  if ttl > 0 then redis.call('PEXPIRE', KEYS[8], ttl) end
end
if tonumber(ARGV[6]) > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[6])
end
return {'done'}
