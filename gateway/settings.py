"""What the rooms' settings are made of: a frozen model, durations and sizes with units, route patterns, addresses.

The one idea: a value that reaches a room is already valid and in base units (seconds, bytes).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_BYTES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9!#$%&'*+.^_`|~-]*")


class Unsuitable(ValueError):
    """What the validators of settings raise: its text says what the key needs, and never repeats what it was given."""


class Settings(BaseModel):
    """Base of every room's settings: frozen, an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


def parse_duration(value: Any) -> float:
    """Return seconds from a text such as `250ms`, `30s`, `12m`, `4h` or `7d`.

    Raises:
        Unsuitable: for anything else; a bare number has no unit and is refused.
    """
    if isinstance(value, float):  # a default, already in seconds
        return value
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise Unsuitable("a duration needs a number and a unit (ms, s, m, h or d), such as 30s")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(value: Any) -> int:
    """Return bytes from a text such as `512B`, `64KiB` or `1MiB`.

    Raises:
        Unsuitable: for anything else; a bare number has no unit and is refused.
    """
    if isinstance(value, int):  # a default, already in bytes
        return value
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise Unsuitable("a size needs a whole number and a unit (B, KiB, MiB or GiB), such as 64KiB")
    return int(match[1]) * _BYTES[match[2]]


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds; zero allowed."""
PositiveDuration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
"""Seconds; more than zero."""
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""


class RoutePattern(NamedTuple):
    """`[METHOD ]/path`, where `*` stands for one segment and `**` for any number; no method: every method."""

    method: str | None
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}" if self.method else self.path


def parse_route(value: Any) -> RoutePattern:
    """Return the pattern that a text such as `POST /api/auth/login` or `/api/**` means.

    Raises:
        Unsuitable: when the method is not an upper-case token or the path does not start with a slash.
    """
    if isinstance(value, RoutePattern):
        return value
    method, space, path = str(value).strip().rpartition(" ")
    method = method.strip()
    if not path.startswith("/") or any(c in path for c in "?#"):
        raise Unsuitable("a route is [METHOD ]/path without a query, such as POST /api/auth/login")
    if space and _METHOD.fullmatch(method) is None:
        raise Unsuitable("the method of a route is written in capitals, such as POST /api/auth/login")
    return RoutePattern(method if space else None, path)


Route = Annotated[RoutePattern, BeforeValidator(parse_route)]


def check_address(value: str) -> str:
    """Return HOST:PORT unchanged.

    Raises:
        Unsuitable: when it is not of that form.
    """
    host, colon, port = value.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Unsuitable("an address is HOST:PORT, such as 0.0.0.0:8080")
    return value


Address = Annotated[str, AfterValidator(check_address)]
"""HOST:PORT."""
