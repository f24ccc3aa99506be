"""The `Retry-After` field."""

from __future__ import annotations

import pytest

from gateway.throttle.retry_after import LONGEST, retry_after

NOW = 784111777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120.0),
        (b"0", 0.0),
        (b"000007", 7.0),
        (b"600", 600.0),
        (b"601", LONGEST),
        (b"9" * 5000, LONGEST),
        (b"Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        (b"Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        (b"Sun Nov  6 08:50:07 1994", 30.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        (b"Sat, 05 Nov 1994 08:49:37 GMT", 0.0),
        (b"Mon, 07 Nov 2044 08:49:37 GMT", LONGEST),
        (b"", None),
        (b"soon", None),
        (b"-5", None),
        (b"1.5", None),
        (b"\xb2", None),
        (b"Sun, 99 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 99999999 08:49:37 GMT", None),
        (b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (b"Mon, 01 Jan 2024 00:00:00 +99999999999999999", None),
        (b"\xff\xfe", None),
    ],
)
def test_case_23_both_forms(value: bytes, seconds: float | None) -> None:
    """Seconds and dates, in every form of a date that RFC 9110 lets a sender use, bounded; what makes no sense is no
    wish at all."""
    assert retry_after([(b"X", b"1"), (b"RETRY-after", value)], NOW) == seconds


def test_no_field_is_no_wish() -> None:
    """An answer without the field asks for nothing."""
    assert retry_after([(b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT")], NOW) is None
