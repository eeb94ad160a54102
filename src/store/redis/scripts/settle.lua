-- Settles an article's entries in posting lists of one shard, now that its story is known, or takes
-- them out.
--
-- KEYS: the lists. ARGV: the article's id hash, the tag of its story or '' to take it out, and how
-- many articles of one story a list may have; of more the second goes, for the first stands for
-- the story and the others are the latest.
local id, tag, members_max = ARGV[1], ARGV[2], tonumber(ARGV[3])

for _, key in ipairs(KEYS) do
  local list = redis.call('GET', key)
  local at = list and own(list, id)
  if at then
    local before, after = string.sub(list, 1, at - 1), string.sub(list, at + ENTRY)
    if tag ~= '' then
      list = before .. string.sub(list, at, at + 27) .. tag .. after
      local count, second = 0, nil
      for place = 1, #list, ENTRY do
        if string.sub(list, place + 28, place + 31) == tag then
          count = count + 1
          if count == 2 then second = place end
        end
      end
      if count > members_max then
        list = string.sub(list, 1, second - 1) .. string.sub(list, second + ENTRY)
      end
    else
      list = before .. after
    end
    if list == '' then
      redis.call('DEL', key)
    else
      redis.call('SET', key, list, 'KEEPTTL')
    end
  end
end
return {}
