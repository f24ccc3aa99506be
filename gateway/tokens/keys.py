"""The keys that tokens are signed with: read from their settings, refused when they are weak, and held as one ring.

The one idea: a ring is never changed. It is made whole from sound settings and takes the place of the one before in a
single step, so whoever takes it once mints or verifies with one set of keys to the end.

Sources: RFC 7518 sections 3.2 to 3.4 and RFC 8037 (what each algorithm needs), RFC 8725 section 3.5 (weak secrets),
RFC 5869 (HKDF).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.tokens.compact import ACCESS, REFRESH, Seal
from gateway.tokens.guessable import guessable
from gateway.tokens.settings import Algorithm, KeySettings, RefreshSecretSettings, TokenSettings

Mode = Literal["issue", "guard"]

HS256_BYTES: Final = 32
"""RFC 7518 section 3.2: a key is at least as long as the hash it is used with."""
RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""
_ASYMMETRIC: Final = (b"-----BEGIN ", b"ssh-", b"ecdsa-sha2-")


class KeyProblem(ValueError):
    """A key that is not used. `str()` says what is wrong with it and holds no part of it; `setting` is its key."""

    def __init__(self, setting: str, text: str) -> None:
        super().__init__(text)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of the access tokens."""

    kid: str
    alg: Algorithm
    sign: Callable[[dict[str, Any]], str] = field(repr=False, compare=False)
    """Makes the access token of a payload."""
    verifying: Any = field(repr=False)
    """A secret's bytes, or the public key."""
    root: bytes = field(repr=False)
    """What secrets are derived from: the secret, or the private number, however its file is written."""


class RefreshSecret:
    """What signs refresh tokens, with all that is derived from the same root.

    Attributes:
        kid: names it, in tokens and in the families' records; a function of the secret, so that a secret is the same
            one wherever it stands in the configuration.
        signing: signs tokens, by `seal`. `jti`: makes their ids. `audit`: makes the names that the audit trail calls
            them by.
    """

    __slots__ = ("_root", "audit", "jti", "kid", "seal", "signing")

    def __init__(self, root: bytes) -> None:
        self._root = root
        self.kid = self.derived(b"refresh token kid").hex()[:8]
        self.signing = self.derived(b"refresh token")
        self.seal = Seal(self.signing, REFRESH, self.kid)
        self.jti = self.derived(b"refresh token jti")
        self.audit = self.derived(b"audit")

    def derived(self, purpose: bytes) -> bytes:
        """Return a secret of 32 bytes that serves one purpose."""
        return HKDF(SHA256(), 32, None, b"gateway " + purpose).derive(self._root)


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys in force; of each kind the first signs and all verify."""

    access: tuple[AccessKey, ...]
    refresh: tuple[RefreshSecret, ...] = field(repr=False)

    @classmethod
    def of(cls, settings: TokenSettings) -> Ring:
        """Return the ring that settings stand for.

        Raises:
            KeyProblem: for the first key that is not to be used.
        """
        access = tuple(map(access_key, settings.keys))
        return cls(access, tuple(map(RefreshSecret, _roots(settings, access))))

    def serves(self, mode: Mode) -> bool:
        """Tell whether all is there that a mode signs with; `guard` mints no access tokens."""
        return bool(self.refresh) and (mode == "guard" or bool(self.access))

    def access_key(self, kid: object) -> AccessKey | None:
        """Return the key of access tokens with this id."""
        return next((key for key in self.access if key.kid == kid), None)

    def refresh_secret(self, kid: object) -> RefreshSecret | None:
        """Return the secret of refresh tokens with this id."""
        return next((secret for secret in self.refresh if secret.kid == kid), None)

    def seal_of(self, token: str) -> Seal | None:
        """Return the seal that a refresh token claims to have; None: no such header was ever made by these secrets."""
        return next((secret.seal for secret in self.refresh if token.startswith(secret.seal.start)), None)


class Keys:
    """Holds the ring in force for everybody who mints or verifies; a reload puts another one in its place."""

    __slots__ = ("ring",)

    def __init__(self, settings: TokenSettings) -> None:
        self.ring = Ring.of(settings)


def access_key(settings: KeySettings) -> AccessKey:
    """Return the key that settings stand for.

    Raises:
        KeyProblem: when it is missing, weak, or not one for its algorithm.
    """
    if settings.alg == "HS256":
        if settings.private_key is not None:
            raise KeyProblem("private_key", "HS256 signs with a secret; give that, or correct alg")
        if settings.secret is None:
            raise KeyProblem("secret", "is missing; HS256 needs it")
        secret = settings.secret.get_secret_value().encode()
        if problem := weakness(secret):
            raise KeyProblem("secret", f"HS256 {problem}")
        return AccessKey(settings.kid, settings.alg, Seal(secret, ACCESS, settings.kid).sign, secret, secret)
    if settings.secret is not None:
        raise KeyProblem("secret", f"{settings.alg} signs with a private key; give private_key, or correct alg")
    if settings.private_key is None:
        raise KeyProblem("private_key", f"is missing; {settings.alg} needs it, in PEM")
    private, root = _private_key(settings.alg, settings.private_key.get_secret_value().encode())
    sign = partial(jwt.encode, key=private, algorithm=settings.alg, headers={"typ": ACCESS, "kid": settings.kid})
    return AccessKey(settings.kid, settings.alg, sign, private.public_key(), root)


def weakness(secret: bytes) -> str:
    """Return what a secret lacks to be one, or nothing."""
    if len(secret) < HS256_BYTES:
        return f"needs a secret of at least {HS256_BYTES} bytes"
    if secret.lstrip().startswith(_ASYMMETRIC):
        return "needs a secret, and this is a key of another kind, which others may know"
    if reason := guessable(secret):
        return f"needs a random secret, and this one {reason}"
    return ""


def _private_key(
    alg: Algorithm, pem: bytes
) -> tuple[RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey, bytes]:
    key = _loaded(pem)
    match alg, key:
        case "RS256", RSAPrivateKey() if key.key_size < RSA_BITS:
            raise KeyProblem("private_key", f"RS256 needs a key of at least {RSA_BITS} bits; this has {key.key_size}")
        case "RS256", RSAPrivateKey():
            return key, key.private_numbers().d.to_bytes(key.key_size // 8 + 1, "big")
        case "ES256", EllipticCurvePrivateKey() if not isinstance(key.curve, SECP256R1):
            raise KeyProblem("private_key", f"ES256 needs a key on the curve P-256; this is on {key.curve.name}")
        case "ES256", EllipticCurvePrivateKey():
            return key, key.private_numbers().private_value.to_bytes(32, "big")
        case "EdDSA", Ed25519PrivateKey():
            return key, key.private_bytes_raw()
    needed = {"RS256": "an RSA key", "ES256": "an EC key on the curve P-256", "EdDSA": "an Ed25519 key"}[alg]
    raise KeyProblem("private_key", f"{alg} needs {needed}; this is of another kind")


def _loaded(pem: bytes) -> Any:
    try:
        return load_pem_private_key(pem, None)
    except TypeError:
        text = "is encrypted; give it without a passphrase"
    except UnsupportedAlgorithm:
        text = "is of a kind that is not supported"
    except ValueError:
        public = b" PUBLIC KEY-----" in pem or b" CERTIFICATE-----" in pem
        text = "holds no private key" if public else "is not a private key in PEM"
    raise KeyProblem("private_key", text)


def _roots(settings: TokenSettings, access: tuple[AccessKey, ...]) -> Iterator[bytes]:
    """Yield what the secrets of refresh tokens are derived from, the one that signs first."""
    if settings.refresh_secret is not None:
        yield settings.refresh_secret.get_secret_value().encode()
    elif not settings.refresh_secrets:
        yield from (key.root for key in access)
    for secret in settings.refresh_secrets:
        yield refresh_root(secret, access)


def refresh_root(settings: RefreshSecretSettings, access: tuple[AccessKey, ...]) -> bytes:
    """Return what one of several secrets of refresh tokens is derived from.

    Raises:
        KeyProblem: when it is weak, when no key has the id, or when it says neither or both.
    """
    if (settings.secret is None) == (settings.key is None):
        raise KeyProblem("secret", "give either secret, or key with the id of one of tokens.keys")
    if settings.secret is not None:
        secret = settings.secret.get_secret_value().encode()
        if problem := weakness(secret):
            raise KeyProblem("secret", problem)
        return secret
    root = next((key.root for key in access if key.kid == settings.key), None)
    if root is None:
        raise KeyProblem("key", "is the id of none of tokens.keys")
    return root
