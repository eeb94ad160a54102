-- Reads an article that another one, the reader, is to be compared with. If it is itself on its
-- way and has the higher number, it is asked to look at the reader before it is committed; if it has
-- the lower one the reader is told what it will be. If it is in lists and its way has not begun, it
-- is asked as well: whoever sent it may not see the reader in lists any more.
--
-- KEYS: the article. ARGV: the number of it that the reader knows already or '', the reader's number
-- and id hash or '' if nothing is being submitted, '1' if the reader comes first of two with the
-- same number, the moment before which others have been on their way for too long, the second in
-- which it was entered in lists or 0, and for how long in ms a beginning is kept.
local ASKED_MAX = 256 * 32
local at, story, canonical, pending, began =
  unpack(redis.call('HMGET', KEYS[1], 'at', 'story', 'canonical', 'p.at', 'p.began'))
local answer = {at or '', story or '', canonical or '', '', '', ''}
if at and at ~= ARGV[1] then answer[4] = redis.call('HGET', KEYS[1], 'candidate') end
if ARGV[2] == '' then return answer end

local function ask()
  local asked = redis.call('HGET', KEYS[1], 'p.asked') or ''
  local reader = ARGV[3] .. ARGV[2]
  if #asked < ASKED_MAX and not string.find(asked, reader, 1, true) then
    redis.call('HSET', KEYS[1], 'p.asked', asked .. reader)
  end
end

if pending and tonumber(began) > tonumber(ARGV[5]) then
  local own, other = tonumber(ARGV[2]), tonumber(pending)
  if other > own or (other == own and ARGV[4] == '1') then
    ask()
  else
    answer[5] = pending
    answer[6] = redis.call('HGET', KEYS[1], 'p.candidate')
  end
elseif tonumber(ARGV[6]) > math.floor(tonumber(at or '0') / 1000000) then
  ask()
  if not at then redis.call('PEXPIRE', KEYS[1], ARGV[7]) end
end
return answer
