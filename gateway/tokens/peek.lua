-- Reads keys of any kind, and changes nothing.
--
-- KEYS  what is read; on a cluster, of one slot
--
-- Returns {now ms, value, PTTL ms, value, PTTL ms, ...}. The value is nil when there is no such key, and empty when it
-- holds no text.

local time = redis.call('TIME')
local found = { tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) }
for _, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then value = '' end
  table.insert(found, value)
  table.insert(found, redis.call('PTTL', key))
end
return found
