"""Names and seals: what the store is given in the place of tokens and of the backend's answers.

The one idea: a name is a keyed hash, so nobody can tell from it which token it stands for, and the key of a seal is
derived from the token and a secret of the gateway's, so only whoever presents that token can have its answer opened. A
copy of the store is worth nothing, and a copy of the secrets beside it does not replace the token. Spellings that
backends take for the same token have the same names; a JWT has one spelling only.

Sources: RFC 2104 (HMAC), RFC 5869 (HKDF), NIST SP 800-38D (AES-GCM), RFC 7515 section 2 (base64url).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
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

    def seal(self, token: str, name: str, answer: Verbatim) -> bytes | None:
        """Return the sealed answer to a token; None when it is larger than `MAX_SEALED`."""
        content, cipher = packed(answer), self._cipher(token, name)
        if len(content) > MAX_SEALED or cipher is None:
            return None
        nonce = os.urandom(_NONCE)
        return nonce + cipher.encrypt(nonce, content, name.encode())

    def open(self, token: str, name: str, sealed: bytes) -> Verbatim | None:
        """Return the answer that was sealed for a token, None when this is not it."""
        cipher = self._cipher(token, name)
        try:
            return unpacked(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())) if cipher else None
        except (InvalidTag, ValueError):
            return None

    def _cipher(self, token: str, name: str) -> AESGCM | None:
        """Return the cipher for a token under one of its names; None when its secret was retired meanwhile."""
        for known, key in zip(self.names(token), self._naming, strict=True):
            if known == name:
                return AESGCM(HKDF(SHA256(), 32, key, b"gateway guarded answer").derive(_canonical(token)))
        return None


def misspelt(token: str) -> bool:
    """Tell whether this is a JWS or JWE in another spelling than the one that RFC 7515 section 2 allows.

    Decoders pass over padding, odd characters and the unused bits of the last one, so each token would have many names.
    What is no JWT is never misspelt.
    """
    parts = _unquoted(token).split(b".")
    if len(parts) < 3:
        return False
    try:
        header = json.loads(_decoded(parts[0]))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header and not all(map(_exact, parts))


def _exact(part: bytes) -> bool:
    try:
        return base64.urlsafe_b64encode(_decoded(part)).rstrip(b"=") == part
    except binascii.Error:
        return False


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _canonical(token: str) -> bytes:
    """Return what all spellings of a token have in common: cookies come percent-encoded, base64 with padding or not."""
    return _unquoted(token).rstrip(b"=")


def _unquoted(token: str) -> bytes:
    return unquote_to_bytes(token.encode("utf-8", "surrogatepass")).strip()
