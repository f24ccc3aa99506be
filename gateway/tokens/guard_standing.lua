-- Tells whether a family of the backend's tokens has ended.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 auth_time, s
--
-- Returns {now ms}, with the reason after it when the family has ended.

local known = parse(redis.call('HGET', KEY, ARGV[1]))
if known and not known.live then return { NOW, known.reason } end
if not known and tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEY, 'floor') or '0') then return { NOW, 'revoked' } end
return { NOW }
