-- Enters an article in posting lists of one shard, and returns what else is in them. Entering and
-- reading are one step: of two articles that share a list at least one sees the other.
--
-- KEYS: the lists. ARGV: the entry (seconds, id hash, fingerprint, story tag), the second before
-- which entries are settled, the second before which they are forgotten, the time to live of a list
-- in ms or 0, 'enter' or 'look', and for every list how many stories may be in it before it says
-- nothing.
local ENTRIES_MAX = 256
local entry, settled, forgotten = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl, enters = tonumber(ARGV[4]), ARGV[5] == 'enter'
local id = string.sub(entry, 5, 20)

local function second(list, place)
  return (struct.unpack('>I4', list, place))
end

-- Whether more settled stories are in a list than may be.
local function is_common(list, stories_max)
  if #list < stories_max * ENTRY then return false end
  local seen, count = {}, 0
  for place = 1, #list, ENTRY do
    local tag = string.sub(list, place + 28, place + 31)
    if not seen[tag] and second(list, place) < settled then
      seen[tag] = true
      count = count + 1
    end
  end
  return count >= stories_max
end

local answers = {}
for number, key in ipairs(KEYS) do
  local list = redis.call('GET', key) or ''
  local from = 1
  while from < #list and second(list, from) < forgotten do from = from + ENTRY end
  local others = string.sub(list, from)
  local at = own(others, id)
  local kept = at and string.sub(others, at, at + ENTRY - 1)
  if at then
    others = string.sub(others, 1, at - 1) .. string.sub(others, at + ENTRY)
  end
  local how = 'k'
  if enters and not (kept and string.sub(kept, 5, 28) == string.sub(entry, 5, 28)) then
    if #others < ENTRIES_MAX * ENTRY then
      how = kept and 'k' or 'a'
      if from == 1 and not at then
        redis.call('APPEND', key, entry)
      else
        redis.call('SET', key, others .. entry)
      end
      if ttl > 0 then redis.call('PEXPIRE', key, ttl) else redis.call('PERSIST', key) end
    else
      how = 'f'
    end
  end
  if is_common(others, tonumber(ARGV[5 + number])) then
    answers[number] = how .. 'c'
  else
    answers[number] = how .. 'l' .. others
  end
end
return answers
