-- What the scripts on a guarded token share: it is put in front of each of them.
--
-- KEYS[1] is the record of one token, a string:
--   <generation>:<auth_time, s>:<spent, 0|1>:<kept, 0|1>:<promised, 0|1>:<traded, ms>:<claimed until, ms>:<owner>:
--   <family>:<user>
-- Without a family it is only claimed, and goes with its claim. The rules are those of guard.py, line by line.

local KEY = KEYS[1]
local time = redis.call('TIME')
local NOW = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function whole(number) return string.format('%.0f', number) end

local function read()
  local generation, auth, spent, kept, promised, traded, till, owner, family, user = string.match(
    redis.call('GET', KEY) or '', '^(%d+):(%d+):([01]):([01]):([01]):(%d+):(%d+):([^:]*):([^:]*):(.*)$')
  if not generation then return nil end
  return {
    generation = tonumber(generation), auth = tonumber(auth), spent = spent == '1', kept = kept == '1',
    promised = promised == '1', traded = tonumber(traded), till = tonumber(till), owner = owner, family = family,
    user = user,
  }
end

local function blank()
  return {
    generation = 0, auth = 0, spent = false, kept = false, promised = false, traded = 0, till = 0, owner = '',
    family = '', user = '',
  }
end

-- Without `seconds` the record keeps the life it has.
local function write(token, seconds)
  local value = table.concat({
    whole(token.generation), whole(token.auth), token.spent and '1' or '0', token.kept and '1' or '0',
    token.promised and '1' or '0', whole(token.traded), whole(token.till), token.owner, token.family, token.user,
  }, ':')
  if seconds then
    redis.call('SET', KEY, value, 'PX', whole(seconds * 1000))
  else
    redis.call('SET', KEY, value, 'KEEPTTL')
  end
end

-- For how long, in s, something is remembered of a token that says it ends at `till`, in s.
local function lasting(refresh_ttl, till, session_ttl)
  return math.max(refresh_ttl, math.min(till - math.floor(NOW / 1000), session_ttl))
end

local function release(token, owner)
  if token.owner == owner then token.owner, token.till = '', 0 end
end

-- Milliseconds of [since, NOW] in which time did not stand still. `pauses` is '<ended ms ago>:<length ms>,...'.
local function ran(since, pauses)
  local stood = 0
  for ago, length in string.gmatch(pauses, '(%d+):(%d+)') do
    local ended = NOW - tonumber(ago)
    stood = stood + math.max(0, math.min(ended, NOW) - math.max(ended - tonumber(length), since))
  end
  return NOW - since - stood
end

