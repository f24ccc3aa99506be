"""The whole of a policy: what the rooms on the road to one upstream want to know of it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Discriminator, Tag

from gateway.retry.settings import BreakerSettings, RetrySettings
from gateway.salesforce.settings import AuthSettings, DailySettings
from gateway.throttle.settings import PolicySettings
from gateway.whmcs.settings import WhmcsAuth
from gateway.wire.settings import TlsSettings

LIVE: Final = ("replicas", "rate", "pace", "lanes", "queue", "long_calls", "retry", "breaker", "annotate", "daily")
"""Keys of a policy that a reload puts in force, besides the secrets in `auth`; what else has changed waits for a
restart."""


def _vendor(auth: Any) -> str:
    """Return whose credentials a section holds, by its type; without one, by its keys."""
    if not isinstance(auth, dict):
        return "whmcs" if isinstance(auth, WhmcsAuth) else "salesforce"
    keys = () if "type" in auth else WhmcsAuth.SECRETS
    return "whmcs" if auth.get("type") == "whmcs" or any(key in auth for key in keys) else "salesforce"


Auth = Annotated[
    Annotated[AuthSettings, Tag("salesforce")] | Annotated[WhmcsAuth, Tag("whmcs")], Discriminator(_vendor)
]


class Policy(PolicySettings):
    """`policies/NAME.yaml`: the limits of the throttle, and what the other rooms on its road want to know."""

    retry: RetrySettings | None = None
    breaker: BreakerSettings | None = None
    annotate: bool = False
    """Whether answers tell where the time went (`Server-Timing`)."""
    tls: TlsSettings | None = None
    daily: DailySettings | None = None
    auth: Auth | None = None

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
