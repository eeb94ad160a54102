-- Settles an article's entries in posting lists of one shard, now that its story is known, or takes
-- them out.
--
-- KEYS: the lists. ARGV: the article's id hash, the tag of its story or '' to take it out, and how
-- many articles of one story a list may have; of more the second goes, for the first stands for
-- the story and the others are the latest.
local id, tag, members_max = ARGV[1], ARGV[2], tonumber(ARGV[3])

-- The place of the entry that goes, if one does.
local function one_too_many(list)
  if #list <= members_max * ENTRY then return nil end
  local count, second = 0, nil
  for place = 1, #list, ENTRY do
    if string.sub(list, place + 28, place + 31) == tag then
      count = count + 1
      if count == 2 then second = place end
    end
  end
  return count > members_max and second
end

for number, list in ipairs(redis.call('MGET', unpack(KEYS))) do
  local key, at = KEYS[number], list and own(list, id)
  if at then
    local goes = at
    if tag ~= '' then
      list = string.sub(list, 1, at + 27) .. tag .. string.sub(list, at + ENTRY)
      goes = one_too_many(list)
    end
    if not goes then
      redis.call('SETRANGE', key, at + 27, tag)
    elseif #list == ENTRY then
      redis.call('DEL', key)
    else
      list = string.sub(list, 1, goes - 1) .. string.sub(list, goes + ENTRY)
      redis.call('SET', key, list, 'KEEPTTL')
    end
  end
end
return {}
