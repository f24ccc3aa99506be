"""The gateway's own errors: a public text for the client beside a private detail for the log.

The one idea: whoever notices a failure raises a `GatewayError` with one of a closed set of codes; the one place
that turns it into an answer is `gateway.rescue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

Code = Literal[
    "maintenance",
    "redis-required",
    "upstream-unreachable",
    "upstream-timeout",
    "queue-full",
    "queue-timeout",
    "auth-failed",
    "auth-timeout",
    "breaker-open",
    "invalid-request",
    "invalid-token",
    "not-found",
    "forbidden-origin",
    "too-many-attempts",
    "payload-too-large",
    "request-timeout",
    "header-too-large",
    "bad-request",
    "not-implemented",
    "shutting-down",
    "internal-error",
]

STATUS: Final[dict[Code, tuple[int, str]]] = {
    "maintenance": (503, "Service Unavailable"),
    "redis-required": (503, "Service Unavailable"),
    "upstream-unreachable": (502, "Bad Gateway"),
    "upstream-timeout": (504, "Gateway Timeout"),
    "queue-full": (503, "Service Unavailable"),
    "queue-timeout": (503, "Service Unavailable"),
    "auth-failed": (502, "Bad Gateway"),
    "auth-timeout": (504, "Gateway Timeout"),
    "breaker-open": (503, "Service Unavailable"),
    "invalid-request": (400, "Bad Request"),
    "invalid-token": (401, "Unauthorized"),
    "not-found": (404, "Not Found"),
    "forbidden-origin": (403, "Forbidden"),
    "too-many-attempts": (429, "Too Many Requests"),
    "payload-too-large": (413, "Content Too Large"),
    "request-timeout": (408, "Request Timeout"),
    "header-too-large": (431, "Request Header Fields Too Large"),
    "bad-request": (400, "Bad Request"),
    "not-implemented": (501, "Not Implemented"),
    "shutting-down": (503, "Service Unavailable"),
    "internal-error": (500, "Internal Server Error"),
}
"""Every code with its status and standard reason phrase."""


Shape = Literal["problem", "nest"]
"""How the gateway's own errors look as JSON: RFC 9457, or the shape of NestJS."""


def document(shape: Shape, *, code: str, status: int, title: str, detail: str) -> tuple[str, dict[str, object]]:
    """Return content type and content of an error in a shape; all texts are public."""
    if shape == "nest":
        return "application/json; charset=utf-8", {"statusCode": status, "message": detail, "error": title}
    problem = {"type": f"urn:gateway:error:{code}", "title": title, "status": status, "detail": detail}
    return "application/problem+json", problem


class GatewayError(Exception):
    """A failure that the client is told of.

    Attributes:
        code: one of `Code`; the client sees it as `urn:gateway:error:CODE`.
        detail: the public text. Never holds anything internal.
        private: what happened, for the log. Never holds a token, cookie, password or a vendor's request body.
        retry_after: seconds after which a retry makes sense, or None.
        headers: more fields for the answer (a cleared cookie, `Cache-Control`).
    """

    def __init__(
        self,
        code: Code,
        *,
        detail: str = "",
        private: str = "",
        retry_after: float | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(f"{code}: {private or detail}")
        self.code = code
        self.detail = detail
        self.private = private
        self.retry_after = retry_after
        self.headers = list(headers)

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return STATUS[self.code][0]

    @property
    def title(self) -> str:
        """The standard reason phrase of the status."""
        return STATUS[self.code][1]


class StoreUnavailable(Exception):
    """A shared store (Redis) could not answer, whatever the reason; nothing is known of what it did.

    `kind` is a short label for metrics: `timeout`, `connection`, `loading`, `readonly`, `oom`, `auth`, `tls`,
    `topology` (a cluster or Sentinels that do not say who serves), `away`, `other`.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class StartError(Exception):
    """The gateway cannot start; the text tells the operator what to do (a port in use names its key)."""
