"""Remembers which credentials callers presented, so that a test can tell whose arrived without keeping any.

The one idea: only SHA-256 hashes are kept. Who knows a credential can find it in the report; nobody can read it there.
"""

from __future__ import annotations

import hashlib


def fingerprint(credential: str) -> str:
    """Return how the report names a credential: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(credential.encode()).hexdigest()


class Credentials:
    """The distinct credentials seen, by kind."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, None]] = {}

    def see(self, kind: str, credential: str) -> None:
        """Remember one; an empty one is none."""
        if credential:
            self._seen.setdefault(kind, {})[fingerprint(credential)] = None

    def report(self) -> dict[str, list[str]]:
        """Return the fingerprints of each kind, in the order in which they were first seen."""
        return {kind: list(seen) for kind, seen in sorted(self._seen.items())}

    def clear(self) -> None:
        """Forget all of them."""
        self._seen.clear()
