-- Takes families of the old scheme over, at generation 0. What is there already and has moved on, or ended, stays as it
-- is, so it may run as often as one likes, while refreshes and logins go on.
--
-- KEYS[1]  the user's hash
-- ARGV     1 max families
--          2 'dry' changes nothing; 'bulk' makes room only by ending families that nobody has traded their old token
--            of; 'live' is for one whose holder is waiting, and makes room as a login does
--          then for each family, the most recently rotated first:
--          name   the old token's mark   rotated, ms   auth_time, s   expires, s   began, s (0: not known)
--          name of the token's tombstone   device
--
-- Returns {number of families, what became of each, evicted family, its device, ...}: 'taken', 'renewed' (its old token was a newer
-- one), 'same', 'upgraded', 'ended', 'expired', 'over_cap'. The rules are those of migration.py's summary.

local FIELDS = 8
local max_families, mode = tonumber(ARGV[1]), ARGV[2]

local records, live, floor = {}, {}, 0
local fields = redis.call('HGETALL', KEY)
for i = 1, #fields, 2 do
  local record = string.find(fields[i + 1], '^[LT]:') and parse(fields[i + 1])
  if fields[i] == 'floor' then
    floor = tonumber(fields[i + 1])
  elseif record and (record.expires or record.till) * 1000 > NOW then
    record.name = fields[i]
    records[fields[i]] = record
    if record.live then table.insert(live, record) end
  end
end

local function state_of(family)
  local known = records[family.name]
  if records[family.own] then return 'upgraded' end
  if known and not known.live then return 'ended' end
  if known and known.generation > 0 then return 'upgraded' end
  if known and known.key_id == family.key_id then return 'same' end
  if family.expires * 1000 <= NOW then return 'expired' end
  if known then return 'renewed' end
  -- Not its auth_time, which may be later than its beginning: then an end of all would not reach it.
  if floor > 0 and family.began <= floor then return 'ended' end
  return 'taken'
end

local function oldest(before)
  local found
  for i, family in ipairs(live) do
    local older = not found or family.rotated < live[found].rotated
    if family.generation == 0 and family.rotated < before and older then found = i end
  end
  return found
end

local evicted = {}

local function make_room(family)
  if mode == 'live' or #live < max_families then return true end
  local index = oldest(family.rotated)
  if not index then return false end
  local out = table.remove(live, index)
  out.live = false
  table.insert(evicted, out.name)
  table.insert(evicted, out.device)
  if mode == 'bulk' then bury(out.name, out, 'evicted') end
  return true
end

local function write(family)
  if mode == 'live' then
    local _, _, noted = admit(family.name, family, max_families)
    evicted = noted
  elseif mode == 'bulk' then
    write_live(family.name, family)
  end
end

local families = {}
for i = 3, #ARGV, FIELDS do
  table.insert(families, {
    name = ARGV[i], key_id = ARGV[i + 1], generation = 0, rotated = tonumber(ARGV[i + 2]), auth = tonumber(ARGV[i + 3]),
    expires = tonumber(ARGV[i + 4]), began = tonumber(ARGV[i + 5]), own = ARGV[i + 6], device = ARGV[i + 7],
    adopted = true, kept = false,
  })
end

-- Before any room is made: what was used since it was taken over is not the one to make it.
local renewed = {}
for _, family in ipairs(families) do
  if state_of(family) == 'renewed' then
    renewed[family.name] = true
    records[family.name].rotated = family.rotated
    if mode ~= 'dry' then write_live(family.name, family) end
  end
end

local states = {}
for _, family in ipairs(families) do
  local state = renewed[family.name] and 'renewed' or state_of(family)
  if state == 'taken' then
    if make_room(family) then
      write(family)
      table.insert(live, family)
      records[family.name] = family
      family.live = true
    else
      state = 'over_cap'
    end
  end
  table.insert(states, state)
end
local reply = { #states, unpack(states) }
for _, told in ipairs(evicted) do table.insert(reply, told) end
return reply
