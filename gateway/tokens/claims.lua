-- Keeps what the backend last said of a user, and tells it.
--
-- KEYS[1]  the user's hash
-- ARGV     1 the claims as JSON; empty: only tell what is kept
--
-- Returns {when they were given s, claims}, or {} when none are. A user without a family keeps none: the hash would
-- never expire. Running it again changes nothing but the time they were given.

if ARGV[1] ~= '' then
  if redis.call('EXISTS', KEY) == 0 then return {} end
  redis.call('HSET', KEY, 'claims', whole(NOW_S) .. ':' .. ARGV[1])
end
local given, claims = string.match(redis.call('HGET', KEY, 'claims') or '', '^(%d+):(.*)$')
if not given then return {} end
return { tonumber(given), claims }
