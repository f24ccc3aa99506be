"""Names and seals: what the store is given in the place of tokens and of the backend's answers.

The one idea: a name is a keyed hash, so nobody can tell from it which token it stands for, and the key of a seal is
derived from the token and a secret of the gateway's, so only whoever presents that token can have its answer opened. A
copy of the store is worth nothing, and a copy of the secrets beside it does not replace the token. Whatever backends
take for the same token has the same names, so that no spelling leads past the record of a token.

| a token | has the names of |
|---|---|
| any | what it is with percent-encoding undone and without blanks around it |
| a JWT (its header is JSON with `alg`) | its parts decoded: decoders pass over padding, odd characters, loose bits |
| one with an ECDSA signature (r, s) | r alone: (r, -s) is as good, and nobody finds another s for the same content |
| any other | itself in lower case and without padding: collations of databases know no case |

Sources: RFC 2104 (HMAC), RFC 5869 (HKDF), NIST SP 800-38D (AES-GCM), RFC 7515 section 2 (base64url), RFC 7518
section 3.4 (ECDSA).
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.tokens.guard_answer import Verbatim, packed, unpacked
from gateway.tokens.keys import Keys, Ring

MAX_SEALED: Final = 64 * 1024
"""Bytes of an answer that is kept."""
_NONCE: Final = 12
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_ODD: Final = re.compile(rb"[^A-Za-z0-9_-]")
_BROKEN_PADDING: Final = re.compile(rb"=[^=.]")


class Vault:
    """Works with the refresh secrets in force: the first one names, tokens named by the others are found too."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._ring: Ring | None = None
        self._naming: list[bytes] = []

    def names(self, token: str) -> tuple[str, ...]:
        """Return the names that a token may be known by, the one that new tokens get first: 128 bits, hexadecimal."""
        if self._ring is not self._keys.ring:
            self._ring = self._keys.ring
            self._naming = [secret.derived(b"guarded token name") for secret in self._ring.refresh]
        text = _canonical(token)
        return tuple(hmac.digest(key, text, "sha256").hex()[:32] for key in self._naming)

    def fingerprint(self, token: str) -> str:
        """Return the prefix of a keyed hash, by which the audit trail names a token."""
        return hmac.digest(self._keys.ring.refresh[0].audit, _canonical(token), "sha256").hex()[:12]

    def seal(self, token: str, name: str, answer: Verbatim, proof: bytes = b"") -> bytes | None:
        """Return the sealed answer to a token; None when it is larger than `MAX_SEALED`.

        `proof` is a hash of what its client proved itself with: who does not prove the same cannot open it.
        """
        content, cipher = packed(answer), self._cipher(token, name, proof)
        if len(content) > MAX_SEALED or cipher is None:
            return None
        nonce = os.urandom(_NONCE)
        return nonce + cipher.encrypt(nonce, content, name.encode())

    def open(self, token: str, name: str, sealed: bytes, proof: bytes = b"") -> Verbatim | None:
        """Return the answer that was sealed for a token, None when this is not it."""
        cipher = self._cipher(token, name, proof)
        try:
            return unpacked(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())) if cipher else None
        except (InvalidTag, ValueError):
            return None

    def _cipher(self, token: str, name: str, proof: bytes) -> AESGCM | None:
        """Return the cipher for a token under one of its names; None when its secret was retired meanwhile."""
        for known, key in zip(self.names(token), self._naming, strict=True):
            if known == name:
                return AESGCM(HKDF(SHA256(), 32, key, b"gateway guarded answer" + proof).derive(_canonical(token)))
        return None


def ambiguous(token: str) -> bool:
    """Tell whether this is a JWT with padding inside of a part: some decoders end there, others go on."""
    text = _unquoted(token)
    return _BROKEN_PADDING.search(text) is not None and _parts(text) is not None


def _canonical(token: str) -> bytes:
    """Return what all spellings of a token have in common, see above."""
    text = _unquoted(token)
    parts = _parts(text)
    return text.rstrip(b"=").lower() if parts is None else b".".join(map(base64.urlsafe_b64encode, parts))


def _parts(text: bytes) -> list[bytes] | None:
    """Return the parts of a JWS or JWE, None when it is neither."""
    encoded = text.split(b".")
    if len(encoded) < 3:
        return None
    parts = [_decoded(part) for part in encoded]
    try:
        head = json.loads(parts[0])
    except (ValueError, RecursionError):
        return None
    if not isinstance(head, dict) or "alg" not in head:
        return None
    if len(parts) == 3 and str(head["alg"]).startswith("ES"):
        parts[2] = parts[2][: len(parts[2]) // 2]
    return parts


def _decoded(part: bytes) -> bytes:
    """Decode base64 of either alphabet as the most lenient decoders do."""
    digits = _ODD.sub(b"", part.translate(_TO_URL))
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return base64.urlsafe_b64decode(digits + b"=" * (-len(digits) % 4))


def _unquoted(token: str) -> bytes:
    return unquote_to_bytes(token.encode("utf-8", "surrogatepass")).strip()
