-- Takes a claim back: the backend did not answer well, or not at all. What else is known of the token stays.
--
-- KEYS[1]  the token's record
-- ARGV     1 owner
--
-- Returns now ms. Running it again changes nothing.

local token = read()
if token and token.owner == ARGV[1] then
  release(token, ARGV[1])
  if token.family == '' then redis.call('DEL', KEY) else write(token) end
end
return NOW
