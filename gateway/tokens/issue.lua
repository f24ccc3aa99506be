-- Starts a family at a login, and makes room for it.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family   2 key id   3 device   4 refresh_ttl, s   5 session_ttl, s   6 max families
--
-- Returns {rotated ms, auth_time s, expires s, number of live families, evicted family, its device, ...}. The name is the
-- caller's, so running it again changes nothing and returns the same times; one that has been ended meanwhile (a login
-- that was given up, while its script was still on its way) stays ended.

local name, key_id, device = ARGV[1], ARGV[2], ARGV[3]
local refresh_ttl, session_ttl, max_families = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local known = parse(redis.call('HGET', KEY, name))
local family = {
  generation = 1, key_id = key_id, rotated = NOW, auth = NOW_S,
  expires = NOW_S + math.min(refresh_ttl, session_ttl), adopted = false, device = device,
}
if known then
  if known.live then family = known end
  return { family.rotated, family.auth, family.expires, #(read_all()) }
end
local count, _, noted = admit(name, family, max_families)
return { family.rotated, family.auth, family.expires, count, unpack(noted) }
