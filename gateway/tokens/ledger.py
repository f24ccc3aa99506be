"""What the layer asks of whoever keeps the families.

The one idea: every operation is one atomic decision on one user, judged by the store's clock, and its answer says
when it was taken, so that the tokens minted from it carry the store's times and not the pod's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.tokens.records import Held
from gateway.tokens.rotation import Evicted, Presented, Result

PATIENCE: Final = 5.0
"""Seconds after which nobody waits for a decision any more, and none is taken; longer than any sane command timeout."""

Available = Callable[[], bool]
"""Whether the store is there, as the gate tells; asking costs nothing."""


def always() -> bool:
    """Tell that it is there."""
    return True


@dataclass(frozen=True, slots=True)
class Opened:
    """A family that a login started."""

    rotated_ms: int
    auth_time: int
    expires: int
    count: int
    """Live families of the user, this one included."""
    evicted: tuple[Evicted, ...] = ()
    """Families that were ended for it, oldest first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a presented token met, and when (the store's clock, ms)."""

    result: Result
    now: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the backend last said of a user (claims as JSON), and when (the store's clock, s)."""

    given: int
    claims: str


class Ledger(Protocol):
    """Families by user. A user is the `sub` of its tokens; a family's name is made by the caller.

    Every operation may be repeated with the same arguments when its answer was lost.

    Raises:
        StoreUnavailable: by every operation, when the store did not answer; what it did is then not known.
    """

    async def issue(self, user: str, family: str, key_id: str, device: str) -> Opened:
        """Start a family at a login, signed with `key_id`, and end the excess."""
        ...

    async def refresh(self, user: str, presented: Presented, key_id: str) -> Verdict:
        """Decide what a presented token meets; a successor is signed with `key_id`."""
        ...

    async def end(self, user: str, presented: Presented, reason: str) -> bool:
        """End the family of a token, of whatever generation; False when it had ended before."""
        ...

    async def families(self, user: str) -> Held:
        """Return what is held of a user; changes nothing."""
        ...

    async def close(self, user: str, family: str, reason: str) -> bool:
        """End a family by its name; False when the user never had it, as far as is known."""
        ...

    async def close_all(self, user: str, reason: str) -> tuple[str, ...]:
        """End all of a user's families, and return them; one that is not known now will never be adopted."""
        ...

    async def keep(self, user: str, presented: Presented) -> bool:
        """Keep the promise that a token is still good, see `rotation.keep`; tell whether the record changed."""
        ...

    async def remember(self, user: str, claims: str) -> None:
        """Keep what the backend says of a user that has a family."""
        ...

    async def recall(self, user: str) -> Remembered | None:
        """Return what the backend last said of a user."""
        ...
