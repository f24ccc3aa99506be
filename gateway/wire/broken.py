"""Why an exchange with the backend ended without an answer."""

from __future__ import annotations

from typing import Literal

from gateway.errors import GatewayError

Reason = Literal["connect", "dns", "timeout", "protocol", "disconnect"]
"""As in `gateway.wire.events.UpstreamFailed`."""


class Broken(Exception):
    """The exchange ended before its final header section.

    Attributes:
        reason: what happened, in one word.
        sent: bytes of the request may have reached the backend.
        answered: bytes of an answer came back, not always a whole header section.
    """

    def __init__(self, reason: Reason, text: str, *, sent: bool = True, answered: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.sent = sent
        self.answered = answered

    def error(self) -> GatewayError:
        """Return what the client is told."""
        return GatewayError(
            "upstream-timeout" if self.reason == "timeout" else "upstream-unreachable", private=str(self)
        )
