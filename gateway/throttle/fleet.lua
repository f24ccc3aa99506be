-- Carries out a replica's statement on the fleet's books. The rules are those of books.py, line by line.
--
-- KEYS     see books.lua
-- ARGV[1]  the channel on which the replicas are told that there is news; the message is who caused it
-- ARGV[2]  the statement as JSON, fields as in fleet.py: lanes are { name, limit, held, wants, spare }, sends { member, us }
--
-- Returns { now us, verdict, epoch, { granted, contended 0|1, limit, ... }, { member, us, ... }, rank, { replica, ... },
--           cap, span us, used, next us, { us, mine 0|1, ... } or nil, data lost 0|1 }, see Answer in fleet.py.

-- Replicas

local function free_rank()
  local taken, rank = {}, 0
  for _, record in pairs(records) do taken[record.rank] = true end
  while taken[rank] do rank = rank + 1 end
  return rank
end

local function last_turn(lane)
  local last = 0
  for _, record in pairs(records) do
    if record.lanes[lane] then last = math.max(last, record.lanes[lane].turn) end
  end
  return last
end

-- Writes down what the replica states; returns the lanes in which that frees permits, or begins a wait.
local function record_it()
  local former, changed, lanes = records[said.replica], {}, {}
  for _, lane in ipairs(said.lanes) do
    local name, limit, held, wants = unpack(lane)
    local before, turn = former and former.lanes[name], 0
    if wants > 0 then turn = before and before.turn > 0 and before.turn or last_turn(name) + 1 end
    lanes[name] = { limit = limit, held = held, turn = turn }
    local freed, waits = before and held < before.held, turn > 0 and not (before and before.turn > 0)
    if freed or waits then changed[name] = true end
  end
  if former and said.aged < former.aged then changed[said.long_lane] = true end
  local waits = said.standing == 'new' and phase ~= 'open'
  local pushed = waits or said.standing == 'sharing' or said.standing == 'held'
  records[said.replica] = {
    number = said.number, contact = NOW, rank = former and former.rank or free_rank(),
    cap = said.cap, span = said.span, aged = said.aged, lanes = lanes,
    pushed = pushed and epoch or former and former.pushed or '',
    final = waits or (said.standing == 'held' and said.epoch == epoch),
  }
  return changed
end

local function push()
  for _, sent in ipairs(said.sends) do redis.call('ZADD', SENDS, 'NX', whole(sent[2]), sent[1]) end
end

local function take_back()
  for _, member in ipairs(said.back) do
    local at = redis.call('ZSCORE', SENDS, member)
    if at and tonumber(at) > NOW then redis.call('ZREM', SENDS, member) end
  end
end

-- Permits and slots

-- Returns the limit of a lane, and what the budget of long calls leaves it.
local function limit_and_budget(lane)
  local limit, aged = math.huge, 0
  for _, record in pairs(records) do
    aged = aged + record.aged
    if is_live(record) and record.lanes[lane] then limit = math.min(limit, record.lanes[lane].limit) end
  end
  if lane ~= said.long_lane or said.long_limit == 0 then return limit, math.huge end
  return limit, math.max(0, said.long_limit - aged)
end

-- Returns the permits of a lane that are out, and the first turn of the others who wait for one, if anybody does.
local function out_and_first(lane)
  local out, first = 0, nil
  for replica, record in pairs(records) do
    local place = record.lanes[lane]
    if place then
      out = out + place.held
      if replica ~= said.replica and place.turn > 0 and NOW - record.contact <= WAITING then
        first = math.min(first or place.turn, place.turn)
      end
    end
  end
  return out, first
end

local function permits(granting, changed)
  local answers = {}
  for _, lane in ipairs(said.lanes) do
    local name, wants, spare = lane[1], lane[4], lane[5]
    local place, granted = records[said.replica].lanes[name], 0
    local limit, budget = limit_and_budget(name)
    local out, first = out_and_first(name)
    local room = math.min(limit, budget) - out
    if granting and wants > 0 and room > 0 and (not first or first > place.turn) then
      granted = first and 1 or math.min(wants, room)
      if granted == wants then
        place.turn = 0
      elseif first then
        place.turn = last_turn(name) + 1
      end
    end
    if granting and not first and granted == wants then granted = granted + math.max(0, math.min(spare, room - granted)) end
    place.held = place.held + granted
    if first and room > granted and (granted > 0 or changed[name]) then news = true end
    if changed[name] and wants > granted then news = true end -- what the others keep in reserve is wanted
    for _, value in ipairs({ granted, (first or room < 0) and 1 or 0, limit }) do table.insert(answers, value) end
  end
  return answers
end

local function next_slot(cap, span)
  local aged_out = entry(-cap)
  return math.max(NOW, entry(-1) or NOW, aged_out and aged_out + span or NOW)
end

local function slots(cap, span)
  local given = {}
  for index = 0, said.slots - 1 do
    local member = said.replica .. ':' .. whole(said.number) .. ':' .. index
    local at = redis.call('ZSCORE', SENDS, member)
    if not at then
      at = next_slot(cap, span)
      redis.call('ZADD', SENDS, whole(at), member)
    end
    table.insert(given, member)
    table.insert(given, tonumber(at))
  end
  return given
end

local function log()
  local entries, seen = redis.call('ZRANGE', SENDS, 0, -1, 'WITHSCORES'), {}
  local prefix = said.replica .. ':'
  for i = 1, #entries, 2 do
    table.insert(seen, tonumber(entries[i + 1]))
    table.insert(seen, string.sub(entries[i], 1, #prefix) == prefix and 1 or 0)
  end
  return seen
end

-- The answer that grants nothing and tells of nothing.
local function bare(verdict)
  return { NOW, verdict, epoch, {}, {}, 0, {}, said.cap, said.span, 0, NOW, false, 0 }
end

read()

local former = records[said.replica]
if former and said.number < former.number and NOW - former.contact <= LEASE then return bare('stale') end
drop_lapsed()

if said.standing == 'leaving' then
  records[said.replica], news = nil, true
  redis.call('HDEL', BOOKS, said.replica)
  push()
  take_back()
  advance()
  write(said.span)
  return bare(phase)
end

local data_lost = settle_epoch()
local changed = record_it()
push()
advance()

local live, cap, span = {}, math.huge, 0
for replica, record in pairs(records) do
  if is_live(record) then
    table.insert(live, replica)
    cap, span = math.min(cap, record.cap), math.max(span, record.span)
  end
end
redis.call('ZREMRANGEBYSCORE', SENDS, '-inf', whole(NOW - span))
take_back()
local granting = phase == 'open' and (said.standing == 'new' or said.standing == 'shared')
local lanes = permits(granting, changed)
local reserved = granting and slots(cap, span) or {}
write(span)
return {
  NOW, phase, epoch, lanes, reserved, records[said.replica].rank, live, cap, span,
  redis.call('ZCARD', SENDS), next_slot(cap, span), said.view and log(), data_lost and 1 or 0,
}
