-- Enters an article in posting lists of one shard, and returns what else is in them, the lists one
-- after the other in one string: for each whether the article is in it now and was before ('k'), is
-- in it now ('a') or has no room in it ('f'); whether it says nothing, for it is common ('c'), or is
-- listed ('l'); the number of entries (2 bytes), and the entries. Entering and reading are one step:
-- of two articles that share a list at least one sees the other.
--
-- The lists are the keys from the given place on; behind the given argument stand the entry
-- (seconds, id hash, fingerprint, story tag), the second before which entries are settled, the second
-- before which they are forgotten, the time to live of a list in ms or 0, the second until which lists
-- may have been given another one, 'enter' or 'look', and how many of the lists, the first ones, are
-- of shingles.
local ENTRIES_MAX = 256

-- A list with so many stories in it, settled ones, says nothing about any of them.
local SHINGLE_STORIES_MAX, STORIES_MAX = 32, 256

-- Lists of fewer entries are written anew, many by one command: for the log and the replicas that is
-- much less work than a command each.
local SHORT = 16

local function second(list, place)
  return (struct.unpack('>I4', list, place))
end

-- Whether as many stories as may be are in a list, settled ones. The oldest come first, so that a
-- list of many stories is told by its beginning.
local function is_common(list, stories_max, settled)
  if #list < stories_max * ENTRY then return false end
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

local function enter(keys_from, arguments_from)
  if not KEYS[keys_from] then return '' end
  local entry, settled, forgotten, ttl, changed, mode, shingles = unpack(ARGV, arguments_from)
  settled, forgotten, ttl = tonumber(settled), tonumber(forgotten), tonumber(ttl)
  changed, shingles = tonumber(changed), tonumber(shingles)
  local enters, id, says = mode == 'enter', string.sub(entry, 5, 20), string.sub(entry, 5, 28)
  local answers, anew = {}, {}
  for number, list in ipairs(redis.call('MGET', unpack(KEYS, keys_from))) do
    local key, others, how = KEYS[keys_from + number - 1], list or '', 'k'
    local is_whole, kept = true, nil
    if list then
      local from = 1
      while from < #others and second(others, from) < forgotten do from = from + ENTRY end
      if from > 1 then others, is_whole = string.sub(others, from), false end
      local at = own(others, id)
      if at then
        kept = string.sub(others, at + 4, at + 27)
        others, is_whole = string.sub(others, 1, at - 1) .. string.sub(others, at + ENTRY), false
      end
    end
    if enters and kept ~= says then
      if #others >= ENTRIES_MAX * ENTRY then
        how = 'f'
      else
        if not kept then how = 'a' end
        local is_appended = is_whole and #others >= SHORT * ENTRY
        if is_appended then
          redis.call('APPEND', key, entry)
          if ttl > 0 then
            redis.call('PEXPIRE', key, ttl)
          elseif second(others, #others - ENTRY + 1) <= changed then
            redis.call('PERSIST', key)
          end
        elseif ttl > 0 then
          redis.call('SET', key, others .. entry, 'PX', ttl)
        else
          anew[#anew + 1] = key
          anew[#anew + 1] = others .. entry
        end
      end
    end
    local stories_max = number <= shingles and SHINGLE_STORIES_MAX or STORIES_MAX
    if others == '' then
      answers[number] = how .. 'l\0\0'
    elseif is_common(others, stories_max, settled) then
      answers[number] = how .. 'c\0\0'
    else
      answers[number] = how .. 'l' .. struct.pack('>I2', #others / ENTRY) .. others
    end
  end
  if #anew > 0 then redis.call('MSET', unpack(anew)) end
  return table.concat(answers)
end

