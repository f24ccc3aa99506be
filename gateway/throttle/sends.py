"""The log of sends on the fleet's books, in memory.

The one idea: a slot is given the earliest time that keeps a span to the cap-th newest entry and comes before none, so
the times of slots only grow and any `cap + 1` of them in a row last a span. To take one out only widens the distances.
"""

from __future__ import annotations

from bisect import bisect_left, insort


class Sends:
    """Entries (member and time, microseconds) in the order of time; what was reserved lies in the future."""

    __slots__ = ("_times", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = []
        """(time, member), ascending; read only."""
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, member: str, time: int) -> None:
        """Enter a send; a member that is there keeps its time."""
        if member not in self._times:
            self._times[member] = time
            insort(self.entries, (time, member))

    def take_back(self, member: str, now: int) -> None:
        """Take out a reservation that lies in the future; what does not stays counted."""
        if (time := self._times.get(member, now)) > now:
            del self._times[member]
            del self.entries[bisect_left(self.entries, (time, member))]

    def drop(self, until: int) -> None:
        """Take out all entries up to this time."""
        aged = bisect_left(self.entries, (until + 1, ""))
        for _, member in self.entries[:aged]:
            del self._times[member]
        del self.entries[:aged]

    def drop_after(self, time: int) -> None:
        """Take out all entries later than this time."""
        later = bisect_left(self.entries, (time + 1, ""))
        for _, member in self.entries[later:]:
            del self._times[member]
        del self.entries[later:]

    def time_of(self, member: str) -> int | None:
        """Return when a member counts from; None: it is not there."""
        return self._times.get(member)

    def next(self, now: int, cap: int, span: int) -> int:
        """Return the time that a slot would be given."""
        entries = self.entries
        newest = entries[-1][0] if entries else now
        aged_out = entries[-cap][0] + span if len(entries) >= cap else now
        return max(now, newest, aged_out)

    def view(self, replica: str) -> tuple[tuple[int, bool], ...]:
        """Return (time, whether it is this replica's) of every entry, ascending."""
        own = f"{replica}:"
        return tuple([(time, member.startswith(own)) for time, member in self.entries])
