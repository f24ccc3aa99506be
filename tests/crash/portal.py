"""The configuration of the gateways in a storm."""

from __future__ import annotations

from typing import Any


def configured(backend: str, redis_url: str, *, strict: bool) -> dict[str, Any]:
    """Return a configuration with tokens on; `strict`: they need Redis."""
    return {
        "ingress": {"backend": backend},
        "redis": {"url": redis_url, "probe": {"interval": "200ms"}},
        "tokens": tokens(strict=strict),
    }


def tokens(*, strict: bool) -> dict[str, Any]:
    """Return the part that says how tokens are minted and judged."""
    return {
        "enabled": True,
        "require_redis": strict,
        "keys": [{"kid": "main", "alg": "HS256", "secret": "hush-" + "k" * 40}],
        "routes": {"sessions": "/api/auth/sessions"},
    }
