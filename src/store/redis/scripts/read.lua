-- Reads an article that another one, the reader, is to be compared with. If it is itself on its
-- way and has the higher number, it is asked to look at the reader before it is committed; if it has
-- the lower one the reader is told what it will be. If it is in lists and its way has not begun, it
-- is asked as well: whoever sent it may not see the reader in lists any more.
--
-- KEYS: the article. ARGV: the number of it that the reader knows already or '', the reader's number
-- and id hash or '' if nothing is being submitted, '1' if the reader comes first of two with the
-- same number, the moment before which others have been on their way for too long, the number ('' for
-- none) under which lists tell of more than is remembered, or '-' if they do not, and for how long in
-- ms a beginning is kept. Returns the head, what it is compared by, and the number and the same of the
-- one on its way; what there is none of is ''.
local ASKED_MAX = 256 * 32
local head, way = head_and_way(KEYS[1])
local answer = {head or '', '', '', ''}
if head and number_in(head) ~= ARGV[1] then
  answer[2] = redis.call('HGET', KEYS[1], 'c' .. place_in(head))
end
if ARGV[2] == '' then return answer end

local function ask()
  local asked = redis.call('HGET', KEYS[1], 'p.asked') or ''
  local reader = ARGV[3] .. ARGV[2]
  if #asked < ASKED_MAX and not string.find(asked, reader, 1, true) then
    redis.call('HSET', KEYS[1], 'p.asked', asked .. reader)
  end
end

if way and began_in(way) > tonumber(ARGV[5]) then
  local own, other = tonumber(ARGV[2]), tonumber(number_in(way))
  if other > own or (other == own and ARGV[4] == '1') then
    ask()
  else
    answer[3] = number_in(way)
    answer[4] = redis.call('HGET', KEYS[1], 'c' .. place_of_way(way))
  end
elseif ARGV[6] == (head and number_in(head) or '') then
  ask()
  if not head then redis.call('PEXPIRE', KEYS[1], ARGV[7]) end
end
return answer
