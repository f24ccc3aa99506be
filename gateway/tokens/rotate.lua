-- Decides what a presented refresh token meets, and writes it down. The table is that of rotation.py.
--
-- KEYS[1]  the user's hash
-- ARGV      1 family   2 generation   3 auth_time, s   4 iat, s   5 exp, s   6 degraded, 0|1      what the token says
--           7 device of whoever presents it   8 id of the key that a successor is signed with
--           9 refresh_ttl, s   10 session_ttl, s   11 grace, ms   12 max families
--          13 when the dataset began, ms; 0 when that is not known, or families older than it are not adopted
--          14 when time stood still, '<ended ms ago>:<length ms>,...'
--          15 how long ago the token was first presented and given back as still good, ms; else 0
--          16 when this was sent, ms by the clock of this server as far as the caller knows it; 0 when it does not
--
-- Returns, the time of the decision (ms) always second:
--   {'rotated'|'replayed'|'healed', now, generation, key id, rotated ms, auth_time s, expires s, adopted 0|1, kept 0|1,
--    device}
--   {'adopted', the same nine, evicted family, its device, ...}
--   {'reused', now, tombstone until s, auth_time s}   {'ended', now, reason}   {'unknown', now}   {'expired', now}
--   {'late', now}: nobody waits for the decision any more, so none was taken

local YOUNG = 300
local PATIENCE = 5000

local name, generation = ARGV[1], tonumber(ARGV[2])
local auth, issued, expires = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local degraded, device, key_id = ARGV[6] == '1', ARGV[7], ARGV[8]
local refresh_ttl, session_ttl, grace = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local max_families, birth = tonumber(ARGV[12]), tonumber(ARGV[13])
local pauses, ago, sent = ARGV[14], tonumber(ARGV[15]), tonumber(ARGV[16])

local function granted(result, family, evicted)
  return {
    result, NOW, family.generation, family.key_id, family.rotated, family.auth, family.expires,
    family.adopted and 1 or 0, family.kept and 1 or 0, family.device, unpack(evicted or {}),
  }
end

-- A frozen server carries out, when it wakes, what callers have given up long ago: it must neither spend nor end.
if sent > 0 and NOW - sent > PATIENCE then return { 'late', NOW } end

if NOW >= 1000 * math.min(expires, auth + session_ttl) then return { 'expired', NOW } end

local known = parse(redis.call('HGET', KEY, name))
if known and not known.live then return { 'ended', NOW, known.reason } end

local successor = {
  generation = generation + 1, key_id = key_id, rotated = NOW, auth = auth,
  expires = math.min(NOW_S + refresh_ttl, auth + session_ttl), adopted = true, device = device,
}

if not known then
  local young = NOW - 1000 * issued < 1000 * YOUNG
  local floor = tonumber(redis.call('HGET', KEY, 'floor') or '0')
  if auth <= floor or not (degraded or young or 1000 * issued < birth) then return { 'unknown', NOW } end
  local _, _, noted = admit(name, successor, max_families)
  return granted('adopted', successor, noted)
end

successor.adopted, successor.device = known.adopted, known.device
if generation == known.generation or generation > known.generation then
  write_live(name, successor)
  return granted(generation == known.generation and 'rotated' or 'healed', successor)
end
if generation == known.generation - 1 and (known.kept or ran(known.rotated, NOW - ago, pauses) <= grace) then
  return granted('replayed', known)
end

bury(name, known, 'reused')
return { 'reused', NOW, parse(redis.call('HGET', KEY, name)).till, known.auth }
