"""What stands there when a storm comes: gateways and how they are configured, a backend, and clients with habits.

The one idea: a storm is the same in each mode of tokens, and does not know in which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from tests.crash.customer import Habits
from tests.crash.rotating import running_rotating
from tests.support.backend import running_backend

_USUAL: Final = Habits()
_SECRET: Final = "hush-" + "k" * 40


@dataclass(frozen=True)
class Scene:
    """What stands there, and how many of each."""

    backend: Callable[[], AbstractAsyncContextManager[Any]]
    """Starts one; it has a `url`."""
    tokens: Mapping[str, Any]
    """How they are minted and judged; `require_redis` is up to the storm."""
    gateways: int = 3
    clients: int = 50
    module: str = "gateway"
    """That a gateway is started from."""
    habits: Habits = _USUAL

    def configured(self, backend: str, redis_url: str, *, strict: bool) -> dict[str, Any]:
        """Return a configuration with tokens on; `strict`: they need Redis."""
        return {
            "ingress": {"backend": backend},
            "redis": {"url": redis_url, "probe": {"interval": "200ms"}},
            "tokens": {**self.tokens, "require_redis": strict},
        }


ISSUE: Final = Scene(
    running_backend,
    {
        "enabled": True,
        "keys": [{"kid": "main", "alg": "HS256", "secret": _SECRET}],
        "routes": {"sessions": "/api/auth/sessions"},
    },
)
GUARD: Final = Scene(
    running_rotating,
    {"enabled": True, "mode": "guard", "keys": [], "refresh_secret": _SECRET},
    gateways=2,
    clients=40,
    module="tests.crash.hasty",
    # an abandoned refresh may wait for a claim, and then be forwarded
    habits=Habits(drop=0.01, end_all=0, tabs=0.4, fate=3.0),
)
