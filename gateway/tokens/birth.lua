-- Reads the mark of when this dataset began, and sets it when there is none.
--
-- KEYS[1]  the mark
-- ARGV     1 a random text, so that the marks of two datasets differ even when they began in the same millisecond
--
-- Returns '<ms>:<text>'.

local mark = redis.call('GET', KEYS[1])
if mark then return mark end
local time = redis.call('TIME')
mark = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)) .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], mark)
return mark
