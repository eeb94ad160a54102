-- Enters an article in a story, behind those that are in it.
--
-- KEYS: the story, the stories, whether the collection is gone. ARGV: story, id hash, number, time
-- to live in ms or 0, the moment before which articles are forgotten.
if redis.call('EXISTS', KEYS[3]) == 1 then return {'gone'} end
local score = tonumber(ARGV[3])
local own = redis.call('ZSCORE', KEYS[1], ARGV[2])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if own and tonumber(own) >= score then
  score = tonumber(own)
elseif last[1] and last[1] ~= ARGV[2] and tonumber(last[2]) >= score then
  score = tonumber(last[2]) + 1
end
score = string.format('%.0f', score)
redis.call('ZADD', KEYS[1], score, ARGV[2])
redis.call('ZADD', KEYS[2], score, ARGV[1])
if tonumber(ARGV[5]) > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[5])
end
if tonumber(ARGV[4]) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
else
  redis.call('PERSIST', KEYS[1])
end
return {'done'}
