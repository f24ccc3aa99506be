"""How many failed attempts an address has before it is told to wait.

The one idea: only what has failed is ever counted or slowed down, so a guesser behind the same address as a thousand
customers costs none of them anything, and a client that retries a good token is never in the way of itself.

`BURST` failures at once are answered as what they are, then one every `PERIOD` seconds. An address needs one number
for that, the time at which its failures will have been worked off (GCRA, ATM Forum TM 4.0 section 4.4.2). The table is
bounded by `MAX_ADDRESSES`, however many addresses an attacker has. Each replica counts for itself.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

BURST: Final = 20
PERIOD: Final = 3.0
"""Seconds a failure needs to be forgotten: 20 a minute."""
MAX_ADDRESSES: Final = 10_000
"""Beyond that, whoever failed least recently is forgotten."""


class FailedAttempts:
    """Failures by client address: IPv4 by itself, IPv6 by its /64, which is what one subscriber has."""

    def __init__(self) -> None:
        self._worked_off: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._worked_off)

    def failed(self, address: str, now: float) -> float | None:
        """Count a failure at `now` (seconds, any monotonic clock).

        Returns:
            None while there are few; else the seconds after which the next failure would be one of few, and this one
            does not count. Without an address (a peer on a unix socket that names nobody) there is no limit.
        """
        subscriber = _subscriber(address)
        if not subscriber:
            return None
        worked_off = max(self._worked_off.get(subscriber, 0.0), now) + PERIOD
        over = worked_off - now - BURST * PERIOD
        if over > 0:
            self._worked_off.move_to_end(subscriber)
            return over
        self._worked_off[subscriber] = worked_off
        self._worked_off.move_to_end(subscriber)
        if len(self._worked_off) > MAX_ADDRESSES:
            self._worked_off.popitem(last=False)
        return None


def _subscriber(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((ip, 64), strict=False))
        return str(ip.ipv4_mapped)
    return str(ip)
