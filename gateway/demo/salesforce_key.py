"""The key pair of the demo's connected app: who holds the private half can log in with the JWT bearer flow.

The one idea: it is made when it is first asked for and lives as long as the process, so that no private key lies in
the repository. `GET /_simulator/private-key` hands it out.
"""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def private_key() -> rsa.RSAPrivateKey:
    """Return the app's key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem() -> str:
    """Return the app's key as a file holds it: PEM, PKCS #8, not encrypted."""
    encoded = private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()
