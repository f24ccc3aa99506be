"""How a refresh comes to hold the claim on its token, or learns that it is not to have it.

The one idea: whoever has no claim does not forward. A claim that another replica holds is waited for; a command that
failed while Redis is there says nothing of the others, so it is asked again, for as long as any claim may last. Only a
Redis that is away, as the gate tells, leaves a replica to itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Handler
from gateway.tokens.guard import Busy
from gateway.tokens.guard_desk import GuardDesk, Shown
from gateway.tokens.guard_steps import Met
from gateway.tokens.guard_store import COMMIT_SECONDS

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.25


@dataclass(slots=True)
class Flight:
    """One token's refresh."""

    shown: Shown
    exchange: Exchange
    forward: Handler
    owner: str
    asked: float
    """When it began (monotonic s)."""
    held: tuple[str, ...]
    """The names that are claimed, or may be."""
    name: str = ""
    """Where its record is, or goes."""
    failed: bool = False
    """The backend refused a token that nobody knows."""
    again: bool = False
    """The kept answer was not there."""


class Claims:
    """Claims tokens for flights.

    Args:
        desk: what the operations share.
        forward_seconds: how long the holder of a claim may forward.
    """

    def __init__(self, desk: GuardDesk, forward_seconds: float) -> None:
        self._desk = desk
        self._longest = forward_seconds + COMMIT_SECONDS

    async def claim(self, flight: Flight) -> Met:
        """Claim a flight's token; while another replica forwards it, ask again.

        Raises:
            StoreUnavailable: when Redis is away, or has not answered for the length of a claim; in strict mode at once.
            GatewayError: `upstream-timeout`, when one replica after the other has it.
        """
        desk, pause = self._desk, _FIRST_PAUSE
        started = desk.clock.monotonic()
        while True:
            try:
                found = await desk.claim(flight.shown, flight.owner, again=flight.again)
            except StoreUnavailable:  # asked again by the same owner, so a claim that was written is this one's
                over = desk.clock.monotonic() - started >= self._longest
                if desk.settings.require_redis or over or not desk.available():
                    raise
            else:
                met, flight.name, flight.held = found.met, found.name, found.held
                if not isinstance(met.verdict, Busy):
                    return met
                if desk.clock.monotonic() - started >= self._longest + 1:
                    desk.note("refresh", "busy", met.lineage, flight.shown)
                    raise GatewayError("upstream-timeout", private="refresh: the token is being forwarded elsewhere")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
