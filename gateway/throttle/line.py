"""A lane's waiting line: whose turn it is.

The one idea: tenants take turns, and inside a tenant the call with the lowest *rank* goes first: its time of arrival
plus a penalty of its priority. So a call overtakes those that came a little earlier, and nobody can be overtaken for
ever: who has waited as long as the difference of two penalties goes before every newcomer. The calls of one priority
stand in the order of arrival, so the lowest rank is found by looking at three heads, however long the line.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from gateway.throttle.call import Call

Priority = Literal["high", "normal", "low"]

AGEING: Final[dict[Priority, float]] = {"high": 0.0, "normal": 1 / 8, "low": 1 / 4}
"""The penalty of each priority, as a share of the longest wait: with `max_wait: 2m`, a high call goes before the normal
ones that came less than 15 s and the low ones that came less than 30 s earlier. A share, because a call that gives up
before its penalty is worked off would have starved."""

_SIZED_UP: Final = 64
"""Tenants that are looked at to tell how many calls go before another."""

_rank = attrgetter("rank")


class Line:
    """Calls that wait for a permit. Every operation costs the same, however many wait."""

    __slots__ = ("_tenants", "size")

    def __init__(self) -> None:
        self.size = 0
        """How many wait."""
        self._tenants: OrderedDict[str, dict[Priority, OrderedDict[Call, None]]] = OrderedDict()
        """Those that have calls waiting, the next one's turn first; their calls by priority, by arrival. Ordered maps,
        so that a call leaves from the middle at once."""

    def __iter__(self) -> Iterator[Call]:
        """Iterate over all calls, in no particular order."""
        return (call for classes in self._tenants.values() for calls in classes.values() for call in calls)

    def add(self, call: Call) -> None:
        """Put `call` behind those of its tenant and priority; a tenant that had none has its turn after all others."""
        classes = self._tenants.get(call.tenant)
        if classes is None:
            classes = self._tenants[call.tenant] = {}
        calls = classes.get(call.priority)
        if calls is None:
            calls = classes[call.priority] = OrderedDict()
        calls[call] = None
        self.size += 1

    def pop(self) -> Call:
        """Take out the call whose turn it is; there must be one."""
        tenant, classes = next(iter(self._tenants.items()))
        if len(classes) == 1:
            (calls,) = classes.values()
        else:
            calls = classes[min((next(iter(calls)) for calls in classes.values()), key=_rank).priority]
        self._tenants.move_to_end(tenant)
        call, _ = calls.popitem(last=False)
        self._left(call, calls)
        return call

    def remove(self, call: Call) -> None:
        """Take `call` out, wherever it stands."""
        calls = self._tenants[call.tenant][call.priority]
        del calls[call]
        self._left(call, calls)

    def ahead(self, tenant: str, priority: Priority) -> int:
        """Return how many of the calls here, at least, would go before one that came now."""
        own = self._tenants.get(tenant, {})
        before = sum(len(calls) for other, calls in own.items() if AGEING[other] <= AGEING[priority])
        others = (classes for name, classes in islice(self._tenants.items(), _SIZED_UP) if name != tenant)
        return before + sum(min(before, sum(map(len, classes.values()))) for classes in others)

    def _left(self, call: Call, calls: OrderedDict[Call, None]) -> None:
        """Note that `call` was taken out of `calls`, and keep no map that is empty."""
        self.size -= 1
        if not calls:
            classes = self._tenants[call.tenant]
            del classes[call.priority]
            if not classes:
                del self._tenants[call.tenant]
