-- Removes a key that has not changed since it was looked at. Safe to run twice: the second time it is gone.
--
-- KEYS[1]  the key
-- ARGV     1 what it held
--
-- Returns 1 when it was removed now, else 0.

if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
