"""What the store is told of time."""

from __future__ import annotations

import pytest

from gateway.tokens.guard_store import as_of
from gateway.tokens.standstill import Pauses


@pytest.mark.parametrize(
    ("ago", "pauses", "told"),
    [
        (0, ((5, 10),), ((5, 10),)),
        (7, (), ((0, 7),)),
        (7, ((7, 10), (30, 5)), ((0, 7), (7, 10), (30, 5))),
        (7, ((2, 5),), ((0, 7),)),
        (7, ((5, 10),), ((0, 7), (7, 8))),
    ],
)
def test_judging_as_of_before(ago: int, pauses: Pauses, told: Pauses) -> None:
    """Since then time stood still; what stood still before counts once, and pauses are cut there."""
    assert as_of(ago, pauses) == told
