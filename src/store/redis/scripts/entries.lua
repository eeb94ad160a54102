-- What scripts that change posting lists have in common; it stands before each of them. A list is one
-- string of entries: seconds (4 bytes), id hash (16), fingerprint (8), story tag (4).
local ENTRY = 32

-- The place of an article's entry in a list.
local function own(list, id)
  local from = 1
  while true do
    local at = string.find(list, id, from, true)
    if not at then return nil end
    if (at - 5) % ENTRY == 0 then return at - 4 end
    from = at + 1
  end
end

