-- Tells whether the family of one of the backend's tokens has ended, or left the token behind.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 auth_time, s   3 generation of the token
--
-- Returns {'ended', now ms, reason}, {'overtaken', now ms} when the token's successor was traded too, else
-- {'good', now ms}.

local known = parse(redis.call('HGET', KEY, ARGV[1]))
if known and not known.live then return { 'ended', NOW, known.reason } end
if known and known.generation > tonumber(ARGV[3]) + 1 then return { 'overtaken', NOW } end
if not known and tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEY, 'floor') or '0') then
  return { 'ended', NOW, 'revoked' }
end
return { 'good', NOW }
