-- What the scripts of this folder share: it is put in front of each of them.
--
-- KEYS[1] is a user's hash. Its fields:
--   <family>  L:<generation>:<key id>:<rotated, ms>:<auth_time, s>:<expires, s>:<adopted, 0|1>:<kept, 0|1>:<device>
--             a live family
--   <family>  T:<reason>:<until, s>:<auth_time, s>     an ended one
--   floor     an auth_time (s) up to which unknown families are not adopted
--   claims    <given, s>:<JSON>, what the backend last said of the user, see claims.lua
-- The rules are those of families.py and rotation.py, line by line.

local TOMBSTONE_TTL = 86400
local OLD_TTL = 34560000
local MAX_TOMBSTONES = 32

local KEY = KEYS[1]
local time = redis.call('TIME')
local NOW = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local NOW_S = math.floor(NOW / 1000)

local function whole(number) return string.format('%.0f', number) end

local function parse(value)
  if not value then return nil end
  local generation, key_id, rotated, auth, expires, adopted, kept, device =
    string.match(value, '^L:(%d+):([^:]*):(%d+):(%d+):(%d+):([01]):([01]):(.*)$')
  if generation then
    return {
      live = true, generation = tonumber(generation), key_id = key_id, rotated = tonumber(rotated),
      auth = tonumber(auth), expires = tonumber(expires), adopted = adopted == '1', kept = kept == '1', device = device,
    }
  end
  local reason, till, ended_auth = string.match(value, '^T:([^:]*):(%d+):(%d+)$')
  return { live = false, reason = reason, till = tonumber(till), auth = tonumber(ended_auth) }
end

-- Milliseconds of [since, till] in which time did not stand still. `pauses` is '<ended ms ago>:<length ms>,...'.
local function ran(since, till, pauses)
  local stood = 0
  for ago, length in string.gmatch(pauses, '(%d+):(%d+)') do
    local ended = NOW - tonumber(ago)
    stood = stood + math.max(0, math.min(ended, till) - math.max(ended - tonumber(length), since))
  end
  return till - since - stood
end

-- The hash outlives every token that is judged by it: its expiry is set at every write and never shortened.
local function keep_until(seconds)
  local wanted = math.max(seconds * 1000 - NOW, 1)
  if redis.call('PTTL', KEY) < wanted then redis.call('PEXPIRE', KEY, whole(wanted)) end
end

local function write_live(name, family)
  redis.call('HSET', KEY, name, table.concat({
    'L', whole(family.generation), family.key_id, whole(family.rotated), whole(family.auth), whole(family.expires),
    family.adopted and '1' or '0', family.kept and '1' or '0', family.device,
  }, ':'))
  keep_until(family.expires)
end

local function write_tombstone(name, reason, till, auth)
  redis.call('HSET', KEY, name, table.concat({ 'T', reason, whole(till), whole(auth) }, ':'))
  keep_until(till)
end

local function bury(name, family, reason)
  local till = family.expires
  if not family.adopted then till = math.min(till, NOW_S + TOMBSTONE_TTL) end
  if string.sub(family.key_id, 1, 1) == '~' then till = math.max(till, NOW_S + OLD_TTL) end
  write_tombstone(name, reason, till, family.auth)
end

-- Every record, without the dead, which are deleted: the live ones and the ended ones, as lists.
local function read_all()
  local fields = redis.call('HGETALL', KEY)
  local live, ended = {}, {}
  for i = 1, #fields, 2 do
    local name, record = fields[i], nil
    if name ~= 'floor' and name ~= 'claims' then record = parse(fields[i + 1]) end
    if record then
      record.name = name
      if (record.expires or record.till) * 1000 <= NOW then
        redis.call('HDEL', KEY, name)
      else
        table.insert(record.live and live or ended, record)
      end
    end
  end
  return live, ended
end

local function bound_tombstones(ended)
  if #ended <= MAX_TOMBSTONES then return end
  table.sort(ended, function(a, b) return a.till < b.till or (a.till == b.till and a.name < b.name) end)
  local floor = tonumber(redis.call('HGET', KEY, 'floor') or '0')
  for i = 1, #ended - MAX_TOMBSTONES do
    redis.call('HDEL', KEY, ended[i].name)
    floor = math.max(floor, ended[i].auth)
  end
  redis.call('HSET', KEY, 'floor', whole(floor))
end

-- Adds a family and ends the least recently rotated while there are too many.
-- Returns the number of live families, the names of those that were ended, oldest first, and these again, each with its
-- device behind it.
local function admit(name, family, max_families)
  local live, ended = read_all()
  table.sort(live, function(a, b) return a.rotated < b.rotated or (a.rotated == b.rotated and a.name < b.name) end)
  local evicted, noted = {}, {}
  for i = 1, #live - max_families + 1 do
    bury(live[i].name, live[i], 'evicted')
    table.insert(evicted, live[i].name)
    table.insert(noted, live[i].name)
    table.insert(noted, live[i].device)
    local tombstone = parse(redis.call('HGET', KEY, live[i].name))
    tombstone.name = live[i].name
    table.insert(ended, tombstone)
  end
  write_live(name, family)
  bound_tombstones(ended)
  return #live - #evicted + 1, evicted, noted
end

