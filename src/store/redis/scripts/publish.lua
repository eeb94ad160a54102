-- Enters an article in posting lists of one shard, and returns what else is in them. Entering and
-- reading are one step: of two articles that share a list at least one sees the other.
--
-- KEYS: the lists. ARGV: the entry (seconds, id hash, fingerprint, story tag), the second before
-- which entries are settled, the second before which they are forgotten, the time to live of a list
-- in ms or 0, the second until which lists may have been given another one, 'enter' or 'look', and
-- for every list how many stories may be in it before it says nothing.
local ENTRIES_MAX = 256
local entry, settled, forgotten = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl, changed, enters = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == 'enter'
local id = string.sub(entry, 5, 20)

local function second(list, place)
  return (struct.unpack('>I4', list, place))
end

-- Whether as many stories as may be are in a list, settled ones. The oldest come first, so that a
-- list of many stories is told by its beginning.
local function is_common(list, stories_max)
  local seen, lacking = {}, stories_max
  for place = 1, #list, ENTRY do
    local left = (#list - place + 1) / ENTRY
    if left < lacking then return false end
    local tag = string.sub(list, place + 28, place + 31)
    if not seen[tag] and second(list, place) < settled then
      seen[tag], lacking = true, lacking - 1
      if lacking == 0 then return true end
    end
  end
  return false
end

local answers = {}
for number, list in ipairs(redis.call('MGET', unpack(KEYS))) do
  local key, others = KEYS[number], list or ''
  local from = 1
  while from < #others and second(others, from) < forgotten do from = from + ENTRY end
  others = string.sub(others, from)
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
        local is_old = #others > 0 and second(others, #others - ENTRY + 1) <= changed
        if ttl == 0 and is_old then redis.call('PERSIST', key) end
      else
        redis.call('SET', key, others .. entry)
      end
      if ttl > 0 then redis.call('PEXPIRE', key, ttl) end
    else
      how = 'f'
    end
  end
  if is_common(others, tonumber(ARGV[6 + number])) then
    answers[number] = how .. 'c'
  else
    answers[number] = how .. 'l' .. others
  end
end
return answers
