-- What is on the fleet's books, and their epochs: it is put in front of fleet.lua. The rules are those of books.py, line
-- by line.
--
-- KEYS[1]  the books, a hash. Its fields, packed by cmsgpack (which keeps microseconds, as cjson would not):
--            epoch       { id, phase, began us, { replicas that must push } }
--            <replica>   { number, contact us, rank, cap, span us, aged, pushed for the epoch, final, lane, limit, held,
--                          turn, lane, ... }
-- KEYS[2]  the log of sends, a sorted set: member -> us. Both keys carry the same hash tag.

local LEASE, ABSENT, WAITING = 15000000, 10000000, 1500000

local BOOKS, SENDS, CHANNEL = KEYS[1], KEYS[2], ARGV[1]
local said = cjson.decode(ARGV[2])
local time = redis.call('TIME')
local NOW = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function whole(number) return string.format('%.0f', number) end

-- What is on the books

local epoch, phase, began, expected = '', 'open', 0, {}
local records = {}
local news = false

local function unpacked(text)
  local fields = cmsgpack.unpack(text)
  local record = {
    number = fields[1], contact = fields[2], rank = fields[3], cap = fields[4], span = fields[5], aged = fields[6],
    pushed = fields[7], final = fields[8], lanes = {},
  }
  for i = 9, #fields, 4 do
    record.lanes[fields[i]] = { limit = fields[i + 1], held = fields[i + 2], turn = fields[i + 3] }
  end
  return record
end

local function packed(record)
  local fields = {
    record.number, record.contact, record.rank, record.cap, record.span, record.aged, record.pushed, record.final,
  }
  for name, place in pairs(record.lanes) do
    for _, value in ipairs({ name, place.limit, place.held, place.turn }) do table.insert(fields, value) end
  end
  return cmsgpack.pack(fields)
end

local function read()
  local fields = redis.call('HGETALL', BOOKS)
  for i = 1, #fields, 2 do
    if fields[i] == 'epoch' then
      epoch, phase, began, expected = unpack(cmsgpack.unpack(fields[i + 1]))
    else
      records[fields[i]] = unpacked(fields[i + 1])
    end
  end
end

local function entry(index)
  return tonumber(redis.call('ZRANGE', SENDS, index, index, 'WITHSCORES')[2])
end

-- Both keys outlive everything on them that still counts: their expiry is set at every write.
local function write(span)
  local me = records[said.replica]
  local head = cmsgpack.pack({ epoch, phase, began, expected })
  if me then
    redis.call('HSET', BOOKS, 'epoch', head, said.replica, packed(me))
  else
    redis.call('HSET', BOOKS, 'epoch', head)
  end
  local kept = whole((math.max((entry(-1) or NOW) - NOW, 0) + span + LEASE) / 1000)
  redis.call('PEXPIRE', BOOKS, kept)
  redis.call('PEXPIRE', SENDS, kept)
  if news then redis.call('PUBLISH', CHANNEL, said.replica) end
end

-- Epochs

local function is_live(record) return NOW - record.contact <= ABSENT end

local function forget()
  redis.call('DEL', BOOKS, SENDS)
  epoch, phase, began, expected, records = '', 'open', 0, {}, {}
end

local function drop_lapsed()
  for replica, record in pairs(records) do
    if NOW - record.contact > LEASE then
      redis.call('HDEL', BOOKS, replica)
      records[replica] = nil
      news = true
    end
  end
end

local function begin(as)
  local wanted = { [said.replica] = true }
  for _, replica in ipairs(said.known) do wanted[replica] = true end
  for replica, record in pairs(records) do
    if is_live(record) then wanted[replica] = true end
  end
  epoch, phase, began, expected, news = said.replica .. ':' .. whole(said.number) .. ':' .. whole(NOW), as, NOW, {}, true
  for replica in pairs(wanted) do table.insert(expected, replica) end
  -- What was reserved is given up, and what a clock of before left there is none.
  redis.call('ZREMRANGEBYSCORE', SENDS, '(' .. whole(NOW), '+inf')
end

-- Begins a new epoch where that is due; returns whether what was acknowledged to this replica is lost.
local function settle_epoch()
  if said.reset and said.epoch == epoch then forget() end
  if epoch == '' then begin(said.standing == 'new' and 'open' or 'gathering') end
  local record = records[said.replica]
  local behind = not record or record.number < said.acknowledged
  local lost = said.standing ~= 'new' and said.epoch ~= '' and behind
  local stopped = record and record.pushed == epoch and record.final
  local resumed = said.standing == 'sharing' and (phase == 'open' or (phase == 'closing' and stopped))
  if resumed or (lost and phase ~= 'gathering') then begin('gathering') end
  return lost
end

-- One that never tells its sends is waited for until they count no more.
local function is_awaited(replica)
  local record = records[replica]
  return not record or record.pushed ~= epoch
end

local function gathered(span)
  if NOW - began >= span then return true end
  for _, replica in ipairs(expected) do
    if is_awaited(replica) then return false end
  end
  return true
end

local function advance()
  local live, span, final = false, 0, true
  for _, record in pairs(records) do
    if is_live(record) then
      live, span = true, math.max(span, record.span)
      final = final and record.pushed == epoch and record.final
    end
  end
  if not live then return end
  if phase == 'gathering' and gathered(span) then phase, news = 'closing', true end
  if phase == 'closing' and final then phase, news = 'open', true end
end

