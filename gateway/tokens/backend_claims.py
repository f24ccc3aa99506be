"""What the backend says of a user at a refresh (`claims_from`).

The one idea: there are three answers. Claims go into the access token; a user that the backend disowns (403, 404, 410)
loses the family; anything else, an error, silence or an answer about somebody else, is no answer and changes nothing.

The question is the gateway's own: it carries no `X-Forwarded-For`, by which a backend can tell it from a client that
asks for the same path.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Handler, Headers, Reply, header, read_all
from gateway.tokens.document import Document, NotAnObject
from gateway.tokens.identity import claims_about
from gateway.tokens.settings import IdentitySettings

SECONDS: Final = 2.0
"""For the whole answer."""
MAX_ANSWER: Final = 64 * 1024
_DISOWNING: Final = frozenset((403, 404, 410))
_DOTS: Final = frozenset((".", ".."))


@dataclass(frozen=True, slots=True)
class Given:
    """The backend gave these claims."""

    claims: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disowned:
    """The backend has no such user any more, or lets it in no more."""

    status: int


@dataclass(frozen=True, slots=True)
class NotGiven:
    """There was no answer, for `reason`: `timeout`, `unreachable`, `status`, `content`."""

    reason: str


Said: TypeAlias = Given | Disowned | NotGiven


class BackendClaims:
    """Asks the backend.

    Args:
        route: `GET` and a path in which `{sub}` stands for the user.
        identity: where the claims are in the answer: as in a login's, or below the object that holds the subject.
    """

    def __init__(self, route: str, identity: IdentitySettings) -> None:
        self._before, _, self._after = route.removeprefix("GET ").partition("{sub}")
        self._identity = identity

    async def ask(self, user: str, exchange: Exchange, forward: Handler) -> Said:
        """Return what the backend says of a user, within `SECONDS`; `exchange` is the refresh it is asked for."""
        if user in _DOTS:  # no path can name it: whoever reads the path would take it for a folder
            return NotGiven("content")
        target = f"{self._before}{quote(user, safe='')}{self._after}".encode()
        headers: Headers = [(b"Accept", b"application/json"), (b"Accept-Encoding", b"identity")]
        if host := header(exchange.headers, b"host"):
            headers.insert(0, (b"Host", host))
        asked = Exchange("GET", target, headers, scheme=exchange.scheme)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._understood(user, await forward(asked))
        except TimeoutError:
            return NotGiven("timeout")
        except GatewayError as error:
            return NotGiven("content" if error.code == "payload-too-large" else "unreachable")
        finally:
            exchange.upstream_seconds += asked.upstream_seconds

    async def _understood(self, user: str, reply: Reply) -> Said:
        if not 200 <= reply.status < 300:
            await reply.body.aclose()
            return Disowned(reply.status) if reply.status in _DISOWNING else NotGiven("status")
        try:
            document = Document(await read_all(reply.body, MAX_ANSWER))
        except NotAnObject:
            return NotGiven("content")
        claims = claims_about(user, document.value, self._identity)
        return NotGiven("content") if claims is None else Given(claims)
