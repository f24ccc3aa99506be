-- Puts the backend's answer away, sealed.
--
-- KEYS[1]  the last answer of a family
-- ARGV     1 the sealed answer   2 how long to keep it, ms
--
-- Running it again changes nothing but the time it goes.

return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
