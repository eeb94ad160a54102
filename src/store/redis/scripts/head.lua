-- What scripts know of an article's hash; it stands before those that read it. `head` is what is
-- remembered but for the texts: number (16 digits), the digit of the field `c…` that has what it is
-- compared by, story (16 bytes), canonical article (16), content hash (16), number of the first
-- revision (8), revision (4), whether there is a fingerprint (1), fingerprint (8), how many posting
-- keys (1), content and posting keys (8 and 4 each), id. `p` is a submission on its way: number (16
-- digits), when it was begun (16 digits), the digit of its field `c…`, id; empty if none is.
local function number_in(head) return string.sub(head, 1, 16) end
local function place_in(head) return string.sub(head, 17, 17) end
local function story_in(head) return string.sub(head, 18, 33) end
local function hash_in(head) return string.sub(head, 50, 65) end
local function fingerprint_in(head)
  return string.byte(head, 78) == 1 and string.sub(head, 79, 86) or ''
end
local function id_in(head) return string.sub(head, 96 + 4 * string.byte(head, 87)) end

local function head_and_way(key, ...)
  local head, way, more = unpack(redis.call('HMGET', key, 'head', 'p', ...))
  return head, way ~= '' and way, more
end
local function began_in(way) return tonumber(string.sub(way, 17, 32)) end
local function place_of_way(way) return string.sub(way, 33, 33) end

