-- Removes a key if it is of a type. Safe to run twice: the second time it is gone.
--
-- KEYS[1]  the key
-- ARGV     1 the type, as TYPE names it
--
-- Returns 1 when it was removed now, else 0.

if redis.call('TYPE', KEYS[1]).ok ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
