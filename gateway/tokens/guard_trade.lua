-- Writes down that the backend has answered a token well, and takes the claim back. One that was spent before keeps the
-- time it was spent at, so that no retry extends its grace.
--
-- KEYS[1]  the token's record
-- ARGV     1 owner   2 another one was given for it, 0|1   3 the answer was kept, 0|1
--          4 generation   5 auth_time, s   6 family   7 user     whose it is, if that is not known yet
--          8 refresh_ttl, s   9 when it says that it ends, s   10 session_ttl, s
--
-- Returns now ms. Run again it changes nothing but, for a token that was not spent, the time it was answered at.

local token = read() or blank()
local spent, kept = ARGV[2] == '1', ARGV[3] == '1'
if token.family == '' then
  token.generation, token.auth, token.family, token.user = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
end
if token.spent then
  token.kept = token.kept or kept
else
  token.spent, token.kept, token.traded = spent, kept, NOW
end
release(token, ARGV[1])
write(token, lasting(tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])))
return NOW
