-- Takes an article out of a story.
--
-- KEYS: the story, the stories. ARGV: story, id hash.
redis.call('ZREM', KEYS[1], ARGV[2])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[1] then
  redis.call('ZADD', KEYS[2], last[2], ARGV[1])
else
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return {}
