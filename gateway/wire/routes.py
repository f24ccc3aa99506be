"""Which route a request meets, also when its target is spelled so that a plain comparison would miss it.

The one idea: servers behind the gateway read one target in many ways (decode it once or twice, ignore case, drop
`;params`, resolve dots, treat a backslash as a slash). So a target stands for the *set* of paths it can be read as: a
gate closes when any of them matches, an exception from a gate holds only when all of them do. Nothing is rewritten:
the client's bytes are what is forwarded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.exchange import Exchange
from gateway.settings import RoutePattern

Matches = Callable[[Exchange], bool]

_ODD: Final = re.compile(rb"[%;\\#\x00]|//|/\.\.?(?:/|$)")
"""What makes a path readable in more than one way; upper case and a trailing slash are dealt with when matching."""
_ABSOLUTE: Final = re.compile(rb"(?i)[a-z][a-z0-9+.-]*://[^/?#\\]*")
_AUTHORITY: Final = re.compile(rb"//[^/]*")
_SLASHES: Final = re.compile(rb"/{2,}")
_PARAMS: Final = re.compile(rb";[^/]*")
_ESCAPE: Final = re.compile(rb"%[0-9a-fA-F]{2}")
_DECODINGS: Final = 2
_BUDGET: Final = 256 * 1024
"""Bytes of readings that are looked at. A target made to have more matches every gate and no exception."""


def any_of(patterns: Iterable[RoutePattern]) -> Matches:
    """Return a test that holds when some reading of the target meets one of the patterns; `HEAD` counts as `GET`."""
    table = _Table(patterns)

    def matches(exchange: Exchange) -> bool:
        regex = table.regex(exchange.method)
        if regex is None:
            return False
        readings = _readings(exchange.target)
        return readings is None or any(map(regex.fullmatch, readings))

    return matches


def exactly(patterns: Iterable[RoutePattern]) -> Matches:
    """Return a test that holds only when every reading of the target meets one of the patterns."""
    table = _Table(patterns)

    def matches(exchange: Exchange) -> bool:
        regex = table.regex(exchange.method)
        if regex is None:
            return False
        readings = _readings(exchange.target)
        return readings is not None and all(map(regex.fullmatch, readings))

    return matches


def label(patterns: Iterable[RoutePattern]) -> Callable[[Exchange], str]:
    """Return a function that names the first pattern that some reading of the target meets, else `other`."""
    ordered = [(_methods(pattern.method), _compile([pattern]), str(pattern)) for pattern in patterns]

    def name(exchange: Exchange) -> str:
        readings = _readings(exchange.target) or ()
        for methods, regex, text in ordered:
            if (not methods or exchange.method in methods) and any(map(regex.fullmatch, readings)):
                return text
        return "other"

    return name


class _Table:
    """One expression a method, and one for the methods that no pattern names."""

    def __init__(self, patterns: Iterable[RoutePattern]) -> None:
        listed = list(patterns)
        free = [pattern for pattern in listed if pattern.method is None]
        self._others = _compile(free) if free else None
        named = {method for pattern in listed for method in _methods(pattern.method)}
        self._by_method = {
            method: _compile([p for p in listed if p.method is None or method in _methods(p.method)])
            for method in named
        }

    def regex(self, method: str) -> re.Pattern[bytes] | None:
        return self._by_method.get(method, self._others)


def _methods(method: str | None) -> tuple[str, ...]:
    """Return the methods that a pattern's method stands for; none: every method."""
    if method is None:
        return ()
    return ("GET", "HEAD") if method == "GET" else (method,)


def _compile(patterns: list[RoutePattern]) -> re.Pattern[bytes]:
    """Return an expression for lower-case paths without a trailing slash."""
    return re.compile(b"|".join(b"(?:%b)" % _expression(pattern.path) for pattern in patterns), re.DOTALL)


def _expression(path: str) -> bytes:
    expression = b""
    for segment in segments(path):
        if segment == b"**":
            expression += rb"(?:/.*)?"
        elif segment == b"*":
            expression += rb"/[^/]+"
        else:
            expression += b"/" + re.escape(segment)
    return expression


def segments(path: str) -> list[bytes]:
    """Return what a pattern's path is made of: escapes decoded, without regard to case and to slashes in excess."""
    return [segment for segment in unquote_to_bytes(path).lower().split(b"/") if segment]


def _readings(target: bytes) -> Iterable[bytes] | None:
    """Return the paths that a target can be read as, lower-case and without a trailing slash; None: too many."""
    path = target.partition(b"?")[0]
    if path[:1] == b"/" and _ODD.search(path) is None:
        return (path.lower().rstrip(b"/"),)
    found = {(path.lower(), 0)}
    waiting = list(found)
    spent = 0
    while waiting:
        current, decoded = waiting.pop()
        spent += len(current) + 1
        if spent > _BUDGET:
            return None
        for reading in _read_further(current, decoded):
            if reading not in found:
                found.add(reading)
                waiting.append(reading)
    return {current.rstrip(b"/") for current, _ in found}


def _read_further(path: bytes, decoded: int) -> Iterator[tuple[bytes, int]]:
    """Yield what one more step of one server or another would make of a path."""
    if decoded < _DECODINGS and _ESCAPE.search(path):
        yield unquote_to_bytes(path).lower(), decoded + 1
    if b"\\" in path:
        yield path.replace(b"\\", b"/"), decoded
    if b"//" in path:
        yield _SLASHES.sub(b"/", path), decoded
        if path.startswith(b"//"):
            yield _AUTHORITY.sub(b"", path, count=1), decoded
    if b";" in path:
        yield _PARAMS.sub(b"", path), decoded
    if b"/." in path:
        yield _without_dots(path), decoded
    for end in (b"?", b"#", b"\0"):
        if end in path:
            yield path.partition(end)[0], decoded
    if path[:1] != b"/":
        yield _ABSOLUTE.sub(b"", path, count=1), decoded


def _without_dots(path: bytes) -> bytes:
    """Resolve `.` and `..` (RFC 3986 section 5.2.4); a `..` at the top is dropped."""
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)
