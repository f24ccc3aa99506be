-- Notes a login or a refresh of a family of the backend's tokens, unless it has ended: a tombstone wins, and is kept
-- for as long as the successor that has just been given may be tried.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 generation   3 auth_time, s; 0: it begins now   4 key id   5 device   6 refresh_ttl, s
--          7 max families   8 when the last of its tokens says that it ends, s   9 session_ttl, s
--
-- Returns {'turned', now ms, auth_time s, number of live families, evicted family, ...} or {'ended', now ms, reason}.
-- Running it again changes nothing but the time of the turn, and tells of no eviction.

local name, generation, auth = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local known = parse(redis.call('HGET', KEY, name))
local expires = NOW_S + math.max(tonumber(ARGV[6]), math.min(tonumber(ARGV[8]) - NOW_S, tonumber(ARGV[9])))
if known and not known.live then
  write_tombstone(name, known.reason, math.max(known.till, expires), known.auth)
  return { 'ended', NOW, known.reason }
end
if auth == 0 then
  auth = NOW_S
elseif not known and auth <= tonumber(redis.call('HGET', KEY, 'floor') or '0') then
  keep_until(expires) -- the floor is what refuses the successor
  return { 'ended', NOW, 'revoked' }
end

if known then
  known.generation, known.rotated = math.max(known.generation, generation), NOW
  known.expires = math.max(known.expires, expires)
  write_live(name, known)
  return { 'turned', NOW, known.auth, #(read_all()) }
end
local family = {
  generation = generation, key_id = ARGV[4], rotated = NOW, auth = auth, expires = expires, adopted = true,
  device = ARGV[5],
}
local count, evicted = admit(name, family, tonumber(ARGV[7]))
return { 'turned', NOW, auth, count, unpack(evicted) }
