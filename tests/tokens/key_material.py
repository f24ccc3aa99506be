"""Keys for tests, made once a session and never written into the repository."""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SECRET = "hush-access-key-of-at-least-32-bytes"
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")

_KINDS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(1024),
}


@cache
def private_key(kind: str, number: int = 1) -> Any:
    """Return the key of a kind and number, the same one each time."""
    return _KINDS[kind]()


def pem(kind: str, number: int = 1, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """Return a private key as operators have it in a file."""
    return str(private_key(kind, number).private_bytes(Encoding.PEM, form, NoEncryption()).decode())


def encrypted_pem(kind: str) -> str:
    """Return a private key behind a passphrase."""
    lock = serialization.BestAvailableEncryption(b"hush-passphrase")
    return str(private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode())


def public_pem(kind: str, number: int = 1) -> str:
    """Return a public key, which anybody may know."""
    public = private_key(kind, number).public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def entry(alg: str, kid: str = "", number: int = 1) -> dict[str, Any]:
    """Return an entry of `tokens.keys`."""
    material = {"secret": f"{SECRET}-{number}"} if alg == "HS256" else {"private_key": pem(alg, number)}
    return {"kid": kid or f"{alg}-{number}", "alg": alg, **material}
