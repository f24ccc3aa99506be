"""The public keys, for whoever verifies access tokens (RFC 7517).

The one idea: the document follows from the ring in force, public parts only, so an HS256 secret cannot get in. It is
answered before any gate: verifiers need it most when something else is closed, and it gives nothing away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.exchange import Buffered, Exchange, Handler, Headers, Reply, header_values
from gateway.tokens.keys import AccessKey, Keys, Ring

MAX_AGE: Final = 300
"""Seconds that verifiers may keep the document: how long a new key has to be listed before it signs."""
_PARTS: Final = frozenset(("kty", "crv", "n", "e", "x", "y"))
"""What tells a public key (RFC 7518 section 6, RFC 8037 section 2), and nothing else."""
_TO_JWK: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "RS256": RSAAlgorithm.to_jwk,
    "ES256": ECAlgorithm.to_jwk,
    "EdDSA": OKPAlgorithm.to_jwk,
}


class JwksLayer:
    """Answers GET and HEAD for the document; everything else goes on.

    Args:
        keys: whose ring is told of.
        matches: tells the requests for it.
    """

    def __init__(self, keys: Keys, matches: Callable[[Exchange], bool]) -> None:
        self._keys = keys
        self._matches = matches
        self._ring: Ring | None = None
        self._content, self._tag = b"", b""

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Answer or forward."""
        if exchange.method not in ("GET", "HEAD") or not self._matches(exchange):
            return await forward(exchange)
        ring = self._keys.ring
        if ring is not self._ring:
            self._ring, self._content = ring, document(ring)
            self._tag = b'"%b"' % hashlib.sha256(self._content).hexdigest()[:32].encode()
        headers: Headers = [(b"Cache-Control", b"public, max-age=%d" % MAX_AGE), (b"ETag", self._tag)]
        if _is_known(exchange, self._tag):
            return Reply(304, headers)
        return Reply(200, [(b"Content-Type", b"application/jwk-set+json"), *headers], Buffered(self._content))


def document(ring: Ring) -> bytes:
    """Return the JWK set of a ring's asymmetric keys, in their order."""
    keys = [_public(key) for key in ring.access if key.alg in _TO_JWK]
    return json.dumps({"keys": keys}, separators=(",", ":")).encode()


def _public(key: AccessKey) -> dict[str, Any]:
    jwk = _TO_JWK[key.alg](key.verifying, as_dict=True)
    numbers = {name: value for name, value in jwk.items() if name in _PARTS}
    return {"kid": key.kid, "alg": key.alg, "use": "sig", **numbers}


def _is_known(exchange: Exchange, tag: bytes) -> bool:
    """Tell whether the client has the document already (RFC 9110 section 13.1.2, weak comparison)."""
    told = b",".join(header_values(exchange.headers, b"if-none-match"))
    tags = [part.strip().removeprefix(b"W/") for part in told.split(b",")]
    return tag in tags or tags == [b"*"]
