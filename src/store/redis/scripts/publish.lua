-- Enters an article in posting lists, or only looks (enter.lua).
--
-- KEYS: the lists. ARGV: what enter.lua asks for.
return {enter(1, 1)}
