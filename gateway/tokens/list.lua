-- Reads a user's families, and changes nothing.
--
-- KEYS[1]  the user's hash
--
-- Returns {now ms, field, value, ...}.

return { NOW, unpack(redis.call('HGETALL', KEY)) }
