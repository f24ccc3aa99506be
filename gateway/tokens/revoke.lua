-- Ends one family, of whatever generation it is. An unknown one gets a tombstone as well, else a later refresh could
-- adopt it.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 reason   3 auth_time, s   4 exp, s      the last two are what the presented token says
--
-- Returns {1, now ms} when it ended now, {0, now ms} when it had ended before. Running it again changes nothing.

local name, reason = ARGV[1], ARGV[2]
local known = parse(redis.call('HGET', KEY, name))
if known and not known.live then return { 0, NOW } end
if known then
  bury(name, known, reason)
elseif tonumber(ARGV[4]) * 1000 > NOW then
  write_tombstone(name, reason, tonumber(ARGV[4]), tonumber(ARGV[3]))
end
return { 1, NOW }
