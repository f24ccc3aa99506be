"""`python -m tests.crash.hasty`: a gateway whose claims are short, so that a storm of seconds sees many run out.

The one idea: the lengths are constants of one module, and whoever imports them afterwards has the shorter ones. Their
relation is the product's.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.tokens import guard_store

SHORTER: Final = 20


def hurry() -> None:
    """Shorten what `guard_store` allows a forward, a commit and a claim."""
    lengths: Any = guard_store
    lengths.FORWARD_SECONDS /= SHORTER
    lengths.COMMIT_SECONDS /= SHORTER
    lengths.CLAIM_MS //= SHORTER


if __name__ == "__main__":
    hurry()
    from gateway.cli import main

    main()
