"""Refresh tokens: the gateway mints them at a login, rotates them at a refresh and ends them at a logout.

What may happen to a presented token is decided by `rotation` (pure); the ledgers keep what it decides from.
"""
