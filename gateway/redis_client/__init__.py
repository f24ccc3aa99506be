"""The way to Redis: one client that answers in time or says why not, Lua scripts, and a server to bring along.

Nothing outside this room names an error of the Redis library: every failure leaves it as `StoreUnavailable`.
"""
