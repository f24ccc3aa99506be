"""What `redis.url` says: the form of the deployment, its servers, and who we are to them.

The one idea: the URL says only where and who. How the gateway waits, repeats and verifies is its own affair, so no
option of a URL can change it, and a URL that cannot be read is told of by its form, never by any part of its text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote

Form = Literal["single", "unix", "sentinel", "cluster"]
Server = tuple[str, int]
"""Host (an IPv6 address without its brackets) and port."""

SHAPES: Final[dict[str, str]] = {
    "redis": "redis://HOST:PORT/DB",
    "rediss": "rediss://HOST:PORT/DB",
    "unix": "unix:///PATH?db=DB",
    "redis+sentinel": "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB",
    "rediss+sentinel": "rediss+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB",
    "redis+cluster": "redis+cluster://HOST:PORT,HOST:PORT",
    "rediss+cluster": "rediss+cluster://HOST:PORT,HOST:PORT",
}
"""Every scheme with the shape of its URL. `USER:PASSWORD@` may precede the hosts, or the path of a socket."""

_PORTS: Final[dict[Form, int]] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_SERVER: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@,\s]+))(?::(\d{1,5}))?")
_DATABASE: Final = re.compile(r"\d{1,9}", re.ASCII)


class UnreadableUrl(ValueError):
    """The URL is not of a form that is taken. `shape` is the one its scheme asks for, or empty for another scheme."""

    def __init__(self, shape: str) -> None:
        super().__init__(shape)
        self.shape = shape


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL that was read."""

    form: Form
    tls: bool = False
    servers: tuple[Server, ...] = ()
    """The server, the Sentinels, or some of the cluster's nodes; none for a socket."""
    path: str = ""
    """Of the unix socket."""
    service: str = ""
    """What the Sentinels call the master."""
    database: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def parse(url: str) -> RedisUrl:
    """Read a URL.

    Raises:
        UnreadableUrl: when it is of none of the `SHAPES`, or has anything more.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SHAPES:
        raise UnreadableUrl("")
    read = _read(scheme, rest)
    if read is None:
        raise UnreadableUrl(SHAPES[scheme])
    return read


def _read(scheme: str, rest: str) -> RedisUrl | None:
    base, _, kind = scheme.partition("+")
    form: Form = "unix" if base == "unix" else "sentinel" if kind == "sentinel" else "cluster" if kind else "single"
    before, question, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    user, at, hosts = authority.rpartition("@")
    username, _, password = user.partition(":")
    servers = _servers(hosts, form)
    place = _place(form, path if slash else "", query if question else None)
    if "#" in rest or "@" in user or servers is None or place is None or (form == "unix" and at and hosts):
        return None
    service, database = place
    return RedisUrl(
        form=form,
        tls=base == "rediss",
        servers=servers,
        path=unquote(f"/{path}") if form == "unix" else "",
        service=service,
        database=database,
        username=unquote(username),
        password=unquote(password),
    )


def _servers(hosts: str, form: Form) -> tuple[Server, ...] | None:
    if form == "unix":
        return None if hosts else ()
    found = []
    for text in hosts.split(",") if form in ("sentinel", "cluster") else (hosts,):
        match = _SERVER.fullmatch(text)
        port = int(match[3] or _PORTS[form]) if match else 0
        if match is None or not 0 < port < 65_536:
            return None
        found.append((match[1] or match[2], port))
    return tuple(found)


def _place(form: Form, path: str, query: str | None) -> tuple[str, int] | None:
    """Return the Sentinels' name for the master (else an empty text) and the database, or None when it is not so."""
    service, database = "", path
    if form == "sentinel":
        service, _, database = path.partition("/")
        if not service:
            return None
    elif form == "unix":
        database = ""
        if not path:
            return None
    if query is not None:
        name, _, value = query.partition("=")
        if form not in ("single", "unix") or database or name != "db" or not value:
            return None
        database = value
    if database and not _DATABASE.fullmatch(database):
        return None
    number = int(database or 0)
    return None if form == "cluster" and number else (unquote(service), number)
