-- Writes down a promise: a token that Redis could not judge was given back to its holder as still good. When its
-- successor had been written all the same, the token may come beyond its grace, until that successor is used.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 generation   3 how long ago it was presented, ms   4 grace, ms
--          5 when time stood still, '<ended ms ago>:<length ms>,...'
--
-- Returns {1, now ms} when the record changed, else {0, now ms}: the token is the current one, was spent for good by the
-- time it was presented, or its family has ended. Running it again changes nothing.

local known = parse(redis.call('HGET', KEY, ARGV[1]))
local asked, grace = NOW - tonumber(ARGV[3]), tonumber(ARGV[4])
if not known or not known.live or known.kept or tonumber(ARGV[2]) ~= known.generation - 1 then return { 0, NOW } end
if ran(known.rotated, asked, ARGV[5]) > grace then return { 0, NOW } end
known.kept = true
write_live(ARGV[1], known)
return { 1, NOW }
