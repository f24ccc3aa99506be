"""JWTs of one kind under one secret: signed with HMAC-SHA-256, in the compact form.

The one idea: whoever alone mints a kind of token knows its header to the byte. So the header is made once and compared
whole, and what a token says of its algorithm, kind or key is never followed. Tokens that others mint, or that are
signed with key pairs, are PyJWT's matter; the tests hold the two together in both directions.

Sources: RFC 7515 sections 2, 3.1 and 7.1 (base64url without padding, compact serialization, appendix A.1 is an
example), RFC 7518 section 3.2 (HS256), RFC 8725 sections 2.1 and 3.1 (one algorithm, decided here).
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any, Final

ACCESS: Final = "at+jwt"
"""The kind of an access token (RFC 9068 section 2.1)."""
REFRESH: Final = "rt+jwt"
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()


class Seal:
    """Signs tokens of one kind, and opens what it has signed.

    Attributes:
        start: the beginning of every such token, up to and with the first full stop.
    """

    __slots__ = ("_secret", "start")

    def __init__(self, secret: bytes, kind: str, kid: str) -> None:
        self._secret = secret
        header = _ENCODER.encode({"alg": "HS256", "kid": kid, "typ": kind})
        self.start = _base64url(header.encode()).decode() + "."

    def sign(self, payload: dict[str, Any]) -> str:
        """Return the token of a payload: the same bytes for the same members in the same order."""
        content = _base64url(_ENCODER.encode(payload).encode()).decode()
        return signed(self._secret, self.start + content)

    def opened(self, token: str) -> dict[str, Any]:
        """Return the payload of a token that this seal has signed; what it says is not judged.

        Raises:
            ValueError: for any other token.
            RecursionError: when its content is nested too deeply.
        """
        start, text = self.start, token[: token.rfind(".")]
        # The token is made again and compared as it is written, so its signature has one spelling.
        if not (text.startswith(start) and hmac.compare_digest(signed(self._secret, text).encode(), token.encode())):
            raise ValueError("not signed by this seal")
        content = text[len(start) :].encode()
        plain = base64.urlsafe_b64decode(content + b"=" * (-len(content) % 4))
        if _base64url(plain) != content:
            raise ValueError("not base64url")
        payload = _DECODER.decode(plain.decode("utf-8"))
        if not isinstance(payload, dict):
            raise ValueError("not a JSON object")
        return payload


def signed(secret: bytes, text: str) -> str:
    """Return a signing input (header and payload, encoded) with its HS256 signature: RFC 7515 section 5.1."""
    return f"{text}.{_base64url(hmac.digest(secret, text.encode(), 'sha256')).decode()}"


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
