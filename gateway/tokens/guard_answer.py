"""What the backend says of tokens: its answer in memory, the tokens in it, and whose they may be.

The one idea: an answer is never changed. It is read to learn which tokens it brings, and given to everybody who is to
have it as it came, byte for byte.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from gateway.exchange import Buffered, Headers, Reply, header_values
from gateway.tokens.answer import Answer, look_into
from gateway.tokens.claims import MAX_TOKEN
from gateway.tokens.dialect import dialect_of
from gateway.tokens.identity import has_subject, login_of
from gateway.tokens.settings import IdentitySettings, TokenSettings

_SUBJECTS: Final = tuple(IdentitySettings(subject=pointer, claims={}) for pointer in ("/sub", "/userId"))
"""Where JWTs name their user."""
_CLEARS: Final = re.compile(rb";\s*max-age\s*=\s*(0|-\d+)\s*(;|$)", re.IGNORECASE)
"""A cookie that the client is to forget (RFC 6265 section 5.2.2); some backends still give it a value."""
_FOR_EVER: Final = 2**40
"""Seconds since the epoch that no clock shows."""


@dataclass(frozen=True, slots=True)
class Verbatim:
    """An answer of the backend's, whole."""

    status: int
    reason: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    content: bytes = field(default=b"", repr=False)

    @property
    def good(self) -> bool:
        """Whether the backend did what it was asked."""
        return 200 <= self.status < 300

    def reply(self) -> Reply:
        """Return it once more."""
        return Reply(self.status, list(self.headers), Buffered(self.content), self.reason)


def packed(answer: Verbatim) -> bytes:
    """Return an answer as bytes: a line of JSON, then the content."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
    return json.dumps([answer.status, answer.reason.decode("latin-1"), fields]).encode() + b"\n" + answer.content


def unpacked(data: bytes) -> Verbatim:
    """Return the answer that was `packed`."""
    line, _, content = data.partition(b"\n")
    status, reason, fields = json.loads(line)
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
    return Verbatim(status, reason.encode("latin-1"), headers, content)


@dataclass(frozen=True, slots=True)
class Bringing:
    """What an answer brings."""

    tokens: tuple[str, ...] = field(default=(), repr=False)
    """Refresh tokens, each once."""
    user: str | None = None
    """Whom the answer names."""
    unread: bool = False
    """Its content is no JSON object of a bearable size, or names somebody in no usable way."""


class Reader:
    """Finds refresh tokens in answers where the carrier and the dialect have them."""

    def __init__(self, settings: TokenSettings) -> None:
        self._member = dialect_of(settings.dialect).refresh_member
        self._in_body = settings.carrier != "cookie"
        self._cookie = settings.cookie.refresh.encode() if settings.carrier != "json" else None
        self._identity = IdentitySettings(subject=settings.identity.subject, claims={})

    async def read(self, reply: Reply) -> Bringing:
        """Return what a reply brings, if it is a 2xx; the reply stays as complete as it was."""
        if not 200 <= reply.status < 300:
            return Bringing()
        answer = await look_into(reply)
        tokens = [*self._members(answer), *self._cookies(reply.headers)]
        tokens = [token for token in dict.fromkeys(tokens) if 0 < len(token) <= MAX_TOKEN]
        if answer is None:
            return Bringing(tuple(tokens), unread=True)
        login = login_of(answer.document.value, self._identity)
        if login is None:
            return Bringing(tuple(tokens), unread=has_subject(answer.document.value, self._identity))
        return Bringing(tuple(tokens), login.user)

    def _members(self, answer: Answer | None) -> list[str]:
        token = answer.document.value.get(self._member) if answer is not None and self._in_body else None
        return [token] if isinstance(token, str) else []

    def _cookies(self, headers: Headers) -> list[str]:
        if self._cookie is None:
            return []
        found = []
        for line in header_values(headers, b"set-cookie"):
            name, _, value = line.partition(b";")[0].partition(b"=")
            if name.strip() == self._cookie and not _CLEARS.search(line):
                found.append(value.strip().strip(b'"').decode("latin-1"))
        return found


def user_in(token: str) -> str | None:
    """Return whom a token names, if it is a JWT. Unverified, it is worth what the backend's answer makes it."""
    payload = _payload(token)
    logins = (login_of(payload, identity) for identity in _SUBJECTS)
    return next((login.user for login in logins if login is not None), None)


def end_in(token: str) -> int:
    """Return when a token ends (s), as far as it says so (RFC 7519 section 4.1.4): 0 for what is no JWT."""
    end = _payload(token).get("exp")
    return int(end) if isinstance(end, int | float) and 0 < end < _FOR_EVER else 0


def _payload(token: str) -> dict[str, Any]:
    parts = unquote(token).split(".")
    if len(parts) != 3:
        return {}
    try:
        payload: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}
