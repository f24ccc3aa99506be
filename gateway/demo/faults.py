"""Hands out the faults that a vendor was told to have, as often as it was told.

The one idea: a fault with a number of times is used up by the calls that meet it, so that "fails twice, then works"
needs nobody to watch and switch it off.
"""

from __future__ import annotations

from gateway.demo.behaviour import Behaviour

NONE = "none"


def take(behaviour: Behaviour, name: str = "fault") -> str:
    """Return the fault that a call meets (`none`: none), and count it down."""
    fault: str = getattr(behaviour, name)
    times: int = getattr(behaviour, f"{name}_times")
    if fault != NONE and times:
        setattr(behaviour, f"{name}_times", times - 1)
        if times == 1:
            setattr(behaviour, name, NONE)
    return fault
