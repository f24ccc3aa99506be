"""When an upstream wants to be asked again: the `Retry-After` field (RFC 9110 section 10.2.3).

The one idea: it is a wish of another party, so it is bounded, and what makes no sense is none.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from gateway.exchange import Headers, header

LONGEST: Final = 600.0
"""Seconds: ten minutes, after which the upstream is asked again whatever it said."""


def retry_after(headers: Headers, wall_now: float) -> float | None:
    """Return the seconds that the field asks for, from 0 to `LONGEST`; None when it is missing or makes no sense.

    Both forms are read: whole seconds, and a date in any of the forms of RFC 9110 section 5.6.7, which is compared with
    `wall_now` (seconds since the epoch).
    """
    value = header(headers, b"retry-after")
    if value is None:
        return None
    if value.isdigit():
        digits = value.lstrip(b"0") or b"0"
        return LONGEST if len(digits) > len(b"600") else min(float(digits), LONGEST)
    try:
        date = parsedate_to_datetime(value.decode("latin-1"))
        if date.tzinfo is None:  # the form of asctime names no zone, and means UTC
            date = date.replace(tzinfo=UTC)
        return min(max(0.0, date.timestamp() - wall_now), LONGEST)
    except (ValueError, OverflowError):  # also a year or a zone beyond all bounds
        return None
