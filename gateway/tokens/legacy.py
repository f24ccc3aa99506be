"""Refresh tokens that the backend minted before the gateway did.

The one idea: such a token is good for one thing, to be traded once; so after its signature holds it is shown to the
rest of the room as generation 0 of a family here, and the ordinary table judges it.

The old scheme signed with HS256; its claims are `userId`, `tokenId` (the family) and `type: refresh`. Its signature
alone proves little: the token must also be the very one that the family waits for, by its hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt
from jwt.types import Options

from gateway.tokens.claims import Login, RefreshToken
from gateway.tokens.identity import subject_of
from gateway.tokens.ledger import Ledger, Verdict
from gateway.tokens.migration import name_of
from gateway.tokens.rotation import Presented, Refused, Reused
from gateway.tokens.settings import TokenSettings

_TYPES: Final = (None, "JWT")
_LATEST: Final = 2**40


@dataclass(frozen=True, slots=True)
class Legacy:
    """What names an old token where the old backend kept it."""

    digest: str
    family: str


class OldTokens(Protocol):
    """Whoever knows which old tokens may be traded.

    Raises:
        StoreUnavailable: by each method, when the store did not answer.
    """

    async def place(self, user: str, presented: Presented, old: Legacy) -> Presented | Refused:
        """Return an old token as the table is to see it, or what it meets when the table cannot know it.

        `Reused`: its family waits for another one, or was traded for another one. Nothing is ended by saying so.
        """
        ...

    async def end_all(self, user: str) -> int:
        """End the user's sessions that were never taken over; return how many there were."""
        ...


class LegacyReader:
    """Reads old tokens with the old secret."""

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings.legacy
        self._claims = tuple(settings.identity.claims)

    def read(self, text: str) -> tuple[RefreshToken, Legacy] | None:
        """Return what an old token says, None when it is none. Whether it is within its times is not judged."""
        settings = self._settings
        if settings is None:
            return None
        options: Options = {
            "require": ["exp", "iat", *(["iss"] if settings.issuer else []), *(["aud"] if settings.audience else [])],
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_aud": settings.audience is not None,
        }
        try:
            if jwt.get_unverified_header(text).get("typ") not in _TYPES:
                return None
            payload: dict[str, Any] = jwt.decode(
                text,
                settings.secret.get_secret_value(),
                ["HS256"],
                options,
                audience=settings.audience,
                issuer=settings.issuer,
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return self._shaped(text, payload)

    def _shaped(self, text: str, payload: dict[str, Any]) -> tuple[RefreshToken, Legacy] | None:
        user, family = subject_of(payload.get("userId")), subject_of(payload.get("tokenId"))
        if payload.get("type") != "refresh" or user is None or family is None:
            return None
        issued_at, expires = payload["iat"], payload["exp"]
        if not all(type(time) is int and 0 <= time < _LATEST for time in (issued_at, expires)):
            return None
        claims = {name: payload[name] for name in self._claims if name in payload}
        token = RefreshToken(Login(user, claims), name_of(family), 0, issued_at, issued_at, expires, degraded=False)
        return token, Legacy(hashlib.sha256(text.encode()).hexdigest(), family)


async def judge(
    ledger: Ledger, old_tokens: OldTokens, user: str, presented: Presented, old: Legacy, key_id: str
) -> Verdict:
    """Return what an old token meets; one that its family does not know is reuse, and ends it.

    Raises:
        StoreUnavailable: when the store did not answer.
    """
    placed = await old_tokens.place(user, presented, old)
    if isinstance(placed, Presented):
        return await ledger.refresh(user, placed, key_id)
    if isinstance(placed, Reused):
        await ledger.end(user, presented, "reused")
    return Verdict(placed, 0)
