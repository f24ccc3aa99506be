"""What must hold between the routes of tokens, for each of them to be reached.

The one idea: a request is asked about in one fixed order, so a pattern may take what a later one is for. Whether it
does is told by the patterns alone, as the router reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.config.document import KeyPath, dotted
from gateway.config.guard_checks import is_one_endpoint
from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.settings import RoutePattern
from gateway.wire.routes import segments

_ROUTES: Final = ("tokens", "routes")
_ASKED: Final = ("jwks", "refresh", "logout", "login", "sessions")
"""The order in which the layers ask which route a request meets."""

_Placed = tuple[KeyPath, RoutePattern]


def check_routes(config: Checked[FileSettings]) -> Iterator[Problem]:
    """Yield the routes that are one to the router, and those that take every request of another one."""
    taken: list[_Placed] = []
    for path, route in _own_routes(config):
        others = [
            (other, its)
            for other, its in taken
            if other[2] != path[2] and _share_a_method(route, its) and not is_one_endpoint(config, path, other)
        ]
        if (rival := next((other for other, its in others if _are_one(route, its)), None)) is not None:
            text = f"meets the same requests as {dotted(rival)}; each needs a route of its own"
            yield config.document.problem(path, text)
        else:
            yield from _hidden(config, (path, route), others)
        taken.append((path, route))


def _hidden(config: Checked[FileSettings], placed: _Placed, others: Sequence[_Placed]) -> Iterator[Problem]:
    for other in others:
        first, second = sorted((placed, other), key=lambda each: _ASKED.index(str(each[0][2])))
        if _covers(segments(first[1].path), segments(second[1].path)):
            text = f"takes every request of {dotted(second[0])}, which would never be reached; name the paths it is for"
            yield config.document.problem(first[0], text)


def _own_routes(config: Checked[FileSettings]) -> Iterator[_Placed]:
    """Yield every sound token route with its path; that of the sessions stands for several."""
    routes = config.settings.tokens.routes
    every: list[tuple[KeyPath, RoutePattern | None]] = [
        *(((*_ROUTES, "login", index), route) for index, route in enumerate(routes.login)),
        ((*_ROUTES, "refresh"), routes.refresh),
        ((*_ROUTES, "logout"), routes.logout),
        *(((*_ROUTES, "sessions"), route) for route in routes.of_sessions()),
        ((*_ROUTES, "jwks"), routes.jwks),
    ]
    for path, route in every:
        if config.sound(path) and route is not None:
            yield path, route


def _share_a_method(one: RoutePattern, other: RoutePattern) -> bool:
    """Whether there is a request whose method both take; `GET` stands for `HEAD` too."""
    methods = {one.method, other.method}
    return len(methods) == 1 or None in methods or methods == {"GET", "HEAD"}


def _are_one(one: RoutePattern, other: RoutePattern) -> bool:
    return segments(one.path) == segments(other.path)


def _covers(wide: Sequence[bytes], narrow: Sequence[bytes]) -> bool:
    """Whether every path of one pattern is a path of another: `**` is any number of segments, `*` is one."""
    places = _on(wide, {0})
    for segment in narrow:
        taken = {at for at in places if at < len(wide) and wide[at] == b"**"}
        if segment != b"**":
            taken |= {at + 1 for at in places if at < len(wide) and wide[at] in (b"*", segment)}
        places = _on(wide, taken)
    return len(wide) in places


def _on(wide: Sequence[bytes], places: set[int]) -> set[int]:
    """Return the places in a pattern with those that lie behind a `**` there, which may be nothing."""
    found = set(places)
    for at in sorted(places):
        while at < len(wide) and wide[at] == b"**":
            at += 1
            found.add(at)
    return found
