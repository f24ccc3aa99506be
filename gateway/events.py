"""How rooms report what happened, without knowing who listens.

The one idea: a report is a frozen record, and a listener is one function. Each room declares its records in its own
`events.py`; `gateway.observability` turns them into metrics, log lines and audit lines.
"""

from __future__ import annotations

from collections.abc import Callable


class Event:
    """Base of every report; subclasses are frozen dataclasses and never carry a secret."""

    __slots__ = ()


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""
