-- Remembers a token that the backend has just given.
--
-- KEYS[1]  the token's record
-- ARGV     1 generation   2 auth_time, s   3 family   4 user   5 refresh_ttl, s
--          6 when it says that it ends, s   7 session_ttl, s
--          8 it comes fresh from a login, 0|1: then it counts anew, whatever became of it before
--
-- Returns now ms. Running it again changes nothing.

local token = read() or blank()
if token.family == '' or ARGV[8] == '1' then
  token.generation, token.auth, token.family, token.user = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
  token.spent, token.kept, token.promised, token.traded = false, false, false, 0
  write(token, lasting(tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])))
end
return NOW
