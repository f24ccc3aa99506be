"""The whole of a policy: what the rooms on the road to one upstream want to know of it."""

from __future__ import annotations

from typing import Final

from gateway.retry.settings import BreakerSettings, RetrySettings
from gateway.salesforce.settings import AuthSettings, DailySettings
from gateway.throttle.settings import PolicySettings
from gateway.wire.settings import TlsSettings

LIVE: Final = ("replicas", "rate", "pace", "lanes", "queue", "long_calls", "retry", "breaker", "annotate", "daily")
"""Keys of a policy that a reload puts in force, besides the secrets in `auth`; what else has changed waits for a
restart."""


class Policy(PolicySettings):
    """`policies/NAME.yaml`: the limits of the throttle, and what the other rooms on its road want to know."""

    retry: RetrySettings | None = None
    breaker: BreakerSettings | None = None
    annotate: bool = False
    """Whether answers tell where the time went (`Server-Timing`)."""
    tls: TlsSettings | None = None
    daily: DailySettings | None = None
    auth: AuthSettings | None = None

    @property
    def on(self) -> bool:
        """Whether calls have somewhere to go."""
        return bool(self.address)

    @property
    def address(self) -> str:
        """Where calls go unless a session says otherwise: `base_url`, or else the host where the gateway logs in."""
        return self.base_url or (self.auth.address if self.auth is not None else "")

    @property
    def lasting(self) -> dict[str, object]:
        """What only a restart changes."""
        return {key: getattr(self, key) for key in type(self).model_fields if key not in LIVE and key != "auth"} | {
            "auth": self.auth and self.auth.without_secrets()
        }
