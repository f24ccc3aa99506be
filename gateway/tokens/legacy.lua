-- Says where a token of the old scheme stands. Its family, once taken over, is at generation 0, and its key id is the
-- mark of the one old token that may be traded for generation 1. That it was is remembered as long as it is valid, in
-- a tombstone of its own, so that it is told from older tokens of the same family, and is never taken over again.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 name of the token's own tombstone   3 the token's mark   4 its exp, s
--
-- Returns {place, auth_time s of the family}: 'current' (may be traded, or was, or its family has ended: the table
-- tells), 'stranger' (of a family that has moved on, but not by this token), 'stale' (the family waits for another token),
-- 'unknown', 'expired'.
-- Running it again gives the same.

local name, own, mark, expires = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

if expires * 1000 <= NOW then return { 'expired', 0 } end
local known = parse(redis.call('HGET', KEY, name))
local was_traded = redis.call('HEXISTS', KEY, own) == 1
if not known then return { 'unknown', 0 } end
if not known.live then return { 'current', known.auth } end
if known.generation > 0 then return { was_traded and 'current' or 'stranger', known.auth } end
if known.key_id ~= mark then return { 'stale', known.auth } end
write_tombstone(own, 'upgraded', expires, 0)
return { 'current', known.auth }
