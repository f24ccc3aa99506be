-- Reads a set, and changes nothing.
--
-- KEYS[1]  what is read
--
-- Returns its members; none when there is no such key, or when it holds no set.

local members = redis.pcall('SMEMBERS', KEYS[1])
if members.err then return {} end
return members
