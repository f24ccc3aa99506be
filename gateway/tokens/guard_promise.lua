-- Keeps the promise that a token is still good: one that was spent, and in grace when it was presented, stays answered
-- until its successor is used.
--
-- KEYS[1]  the token's record
-- ARGV     1 grace, ms   2 when time stood still, '<ended ms ago>:<length ms>,...', since it was presented too
--
-- Returns now ms. Running it again changes nothing.

local token = read()
if token and token.spent and ran(token.traded, ARGV[2]) <= tonumber(ARGV[1]) then
  token.promised = true
  write(token)
end
return NOW
