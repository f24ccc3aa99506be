-- Ends a family that is known, or all of a user's. Whoever ends all means also those that this hash does not know (a
-- login that it lost, or one made while Redis was away): the floor keeps them from being adopted.
--
-- KEYS[1]  the user's hash
-- ARGV     1 family, or '' for all   2 reason   3 for how long a token of now may be presented, s
--
-- Returns {whether the wanted one is or was the user's 0|1, family that ended now, ...}. Running it again ends nothing
-- more, and says the same of the wanted one.

local wanted, reason, presentable = ARGV[1], ARGV[2], tonumber(ARGV[3])
if wanted == 'floor' or wanted == 'claims' then return { 0 } end
local live, ended = read_all()
table.sort(live, function(a, b) return a.name < b.name end)

local known = wanted == '' and 1 or redis.call('HEXISTS', KEY, wanted)
local closed = {}
for _, family in ipairs(live) do
  if wanted == '' or family.name == wanted then
    bury(family.name, family, reason)
    local tombstone = parse(redis.call('HGET', KEY, family.name))
    tombstone.name = family.name
    table.insert(ended, tombstone)
    table.insert(closed, family.name)
  end
end
if wanted == '' then
  local floor = tonumber(redis.call('HGET', KEY, 'floor') or '0')
  redis.call('HSET', KEY, 'floor', whole(math.max(floor, NOW_S)))
  keep_until(NOW_S + presentable)
end
bound_tombstones(ended)
return { known, unpack(closed) }
