"""The whole of a policy: what the rooms on the road to one upstream want to know of it."""

from __future__ import annotations

from gateway.salesforce.instance import origin
from gateway.salesforce.settings import AuthSettings, DailySettings
from gateway.throttle.settings import PolicySettings
from gateway.wire.settings import TlsSettings


class Policy(PolicySettings):
    """`policies/NAME.yaml`: the limits of the throttle, the listener's TLS, and what the vendor's own room is told."""

    tls: TlsSettings | None = None
    daily: DailySettings | None = None
    auth: AuthSettings | None = None

    @property
    def on(self) -> bool:
        """Whether calls have somewhere to go: a `base_url`, or the address that the gateway's own login gives."""
        return bool(self.address)

    @property
    def address(self) -> str:
        """Where calls go unless the session says otherwise: `base_url`, or the host where the gateway logs in."""
        return self.base_url or (origin(self.auth.token_url) if self.auth is not None and self.logs_in else "")

    @property
    def logs_in(self) -> bool:
        """Whether the gateway logs in by itself."""
        return self.auth is not None and self.auth.type is not None
