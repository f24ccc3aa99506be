"""Events to log lines, with the texts that operators' alerts look for.

The one idea: what can happen a thousand times a second is told on the change and then at most once a minute with a
count, so that an outage cannot fill a disk; everything about a session is an audit line and is never left out. Guesses
are about no session: they are audited so, by network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from dataclasses import fields as dataclass_fields
from typing import Any, Final

import structlog

from gateway.availability.events import RedisAvailable, RedisUnavailable
from gateway.clock import SYSTEM, Clock
from gateway.events import Event
from gateway.maintenance.events import MaintenanceAnswered, MaintenanceChanged
from gateway.redis_client.events import EmbeddedExited, EvictionUnknown, KeysMayBeEvicted
from gateway.rescue import Crashed, Refused
from gateway.retry.events import BreakerChanged
from gateway.salesforce.events import (
    ClientLoginTimedOut,
    ConcurrencyLimited,
    LoginFinished,
    SessionExpired,
    UsageLevelChanged,
)
from gateway.throttle.events import SharingChanged
from gateway.tokens.events import (
    AttemptFailed,
    Audit,
    ClaimsNotGiven,
    ExcessFamiliesCleaned,
    LoginUnreadable,
    NothingBrought,
    ReuseDetected,
)
from gateway.whmcs.events import CredentialsRefused

MAINTENANCE: Final = "Authentication service in maintenance mode"
REDIS_REQUIRED: Final = "Redis required for token operations but not available"
REDIS_AVAILABLE: Final = "Redis available"
REDIS_UNAVAILABLE: Final = "Redis unavailable"
EVICTION: Final = "Redis may evict sessions when its memory is full: set maxmemory-policy to noeviction"
CLEANED_UP: Final = "Cleaned up excess user tokens"
REUSE: Final = "Refresh token reuse detected"
CLAIMS: Final = "Backend gave no claims, older ones are used"
UNREADABLE: Final = "Login answer passed without tokens: it holds no JSON object or no usable subject"
UNGUARDED: Final = "Backend's answer brought no refresh token where one is looked for: nothing to guard"
LIMITS: Final = "Queue limits in force"
LOGIN_TIMEOUT: Final = "Salesforce authentication timeout"
LOGGED_IN: Final = "Salesforce authentication"
LOGGED_IN_AGAIN: Final = "Salesforce re-authentication"
LOGIN_FAILED: Final = "Salesforce authentication failed"
USAGE: Final = "Salesforce daily API usage"
CONCURRENCY: Final = "Salesforce has too many long calls, its lane pauses"
REFUSED: Final = "WHMCS refuses the credentials, its calls pause"

DIGEST_SECONDS: Final = 60.0
MOST_KEYS: Final = 1000

_WARNINGS: Final = frozenset(
    (
        "upstream-unreachable",
        "upstream-timeout",
        "queue-full",
        "queue-timeout",
        "auth-failed",
        "auth-timeout",
        "breaker-open",
        "too-many-attempts",
        "forbidden-origin",
        "internal-error",
    )
)


_AUDIT_NAMES: Final = tuple(field.name for field in dataclass_fields(Audit))


class Digest:
    """Lets the first of many through, then one a period with the count of those held back since."""

    __slots__ = ("_held", "_next", "_period")

    def __init__(self, period: float = DIGEST_SECONDS) -> None:
        self._period = period
        self._next: float | None = None
        self._held = 0

    def note(self, now: float) -> int | None:
        """Count one; returns how many the line to be written now stands for, or None to stay silent."""
        self._held += 1
        if self._next is not None and now < self._next:
            return None
        held, self._held = self._held, 0
        self._next = now + self._period
        return held

    def is_open(self, now: float) -> bool:
        """Tell whether something was told within the last period, or is still held back."""
        return self._held > 0 or (self._next is not None and now < self._next)

    def end(self) -> int:
        """Start over, the next one is the first again; returns how many were held back and not told."""
        held, self._held, self._next = self._held, 0, None
        return held


class Digests:
    """A digest for each key. Keys beyond `MOST_KEYS` share one, so a flood of them is as bounded as one of events."""

    def __init__(self) -> None:
        self._each: dict[tuple[str, ...], Digest] = {}
        self._rest = Digest()

    def note(self, key: tuple[str, ...], now: float) -> tuple[bool, int] | None:
        """Count one of a key; returns whether the line to be written stands for this key alone, and for how many."""
        digest = self._each.get(key)
        if digest is None and len(self._each) >= MOST_KEYS:
            self._each = {name: kept for name, kept in self._each.items() if kept.is_open(now)}
        if digest is None and len(self._each) < MOST_KEYS:
            digest = self._each.setdefault(key, Digest())
        count = (digest or self._rest).note(now)
        return None if count is None else (digest is not None, count)


class Journal:
    """Writes a log line for each event that deserves one."""

    def __init__(self, clock: Clock = SYSTEM, *, strict: bool = False) -> None:
        """`strict`: token operations need Redis, so its loss is told in those words at once."""
        self._clock = clock
        self._strict = strict
        self._log = structlog.stdlib.get_logger("gateway").bind()
        self._audit = structlog.stdlib.get_logger("gateway.audit").bind()
        self._maintenance = Digest()
        self._required = Digest()
        self._claims = Digest()
        self._logins = Digest()
        self._unguarded: dict[str, Digest] = {}
        self._attempts = Digests()
        self._refused: dict[tuple[str, str], Digest] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            MaintenanceChanged: self._maintenance_changed,
            MaintenanceAnswered: lambda e: self._count(self._maintenance, MAINTENANCE, route=e.route),
            RedisAvailable: self._redis_available,
            RedisUnavailable: self._redis_unavailable,
            EmbeddedExited: lambda e: self._log.error("Embedded Redis exited, starting it again", **asdict(e)),
            KeysMayBeEvicted: lambda e: self._log.warning(EVICTION, policy=e.policy),
            EvictionUnknown: lambda e: self._log.debug("Redis does not tell its maxmemory-policy", reason=e.kind),
            ExcessFamiliesCleaned: lambda e: self._log.info(CLEANED_UP, user=e.user, count=len(e.families)),
            LoginUnreadable: lambda e: self._count(self._logins, UNREADABLE, route=e.route),
            NothingBrought: self._nothing_brought,
            ClaimsNotGiven: lambda e: self._count(self._claims, CLAIMS, reason=e.reason),
            ReuseDetected: lambda e: self._log.warning(REUSE, **asdict(e)),
            Audit: lambda e: self._audit.info("Token audit", audit=True, **_audit_fields(e)),
            BreakerChanged: self._breaker_changed,
            SharingChanged: self._sharing_changed,
            AttemptFailed: self._attempt_failed,
            LoginFinished: self._login_finished,
            ClientLoginTimedOut: lambda e: self._log.error(LOGIN_TIMEOUT, upstream=e.upstream, duration=e.seconds),
            SessionExpired: lambda e: self._log.info("Salesforce session expired", upstream=e.upstream),
            UsageLevelChanged: self._usage_level,
            ConcurrencyLimited: lambda e: self._log.warning(CONCURRENCY, upstream=e.upstream, pause=round(e.pause, 3)),
            CredentialsRefused: lambda e: self._log.error(REFUSED, upstream=e.upstream, pause=e.pause),
            Refused: self._gateway_error,
            Crashed: lambda e: self._log.error("Internal error", exc_info=e.error),
        }

    def __call__(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _count(self, digest: Digest, text: str, **fields: Any) -> None:
        count = digest.note(self._clock.monotonic())
        if count is not None:
            self._log.warning(text, count=count, **fields)

    def _end(self, digest: Digest, text: str) -> None:
        """Tell what was held back, and let the digest start over."""
        held = digest.end()
        if held:
            self._log.warning(text, count=held)

    def _maintenance_changed(self, event: MaintenanceChanged) -> None:
        self._end(self._maintenance, MAINTENANCE)
        if event.active:
            self._count(self._maintenance, MAINTENANCE)
        else:
            self._log.info("Authentication service out of maintenance mode")

    def _redis_available(self, event: RedisAvailable) -> None:
        self._end(self._required, REDIS_REQUIRED)
        self._log.info(REDIS_AVAILABLE, away_seconds=round(event.away_seconds, 3))

    def _redis_unavailable(self, event: RedisUnavailable) -> None:
        self._log.error(REDIS_UNAVAILABLE, reason=event.reason, detail=event.detail)
        self._end(self._required, REDIS_REQUIRED)
        if self._strict:
            self._count(self._required, REDIS_REQUIRED)

    def _sharing_changed(self, event: SharingChanged) -> None:
        if event.degraded:
            self._log.warning("Queue limits kept by shares", upstream=event.upstream)
        else:
            self._log.info("Queue limits shared again", upstream=event.upstream)

    def _breaker_changed(self, event: BreakerChanged) -> None:
        if event.open:
            self._log.warning("Breaker opened", upstream=event.upstream)
        else:
            self._log.info("Breaker closed", upstream=event.upstream)

    def _nothing_brought(self, event: NothingBrought) -> None:
        digest = self._unguarded.setdefault(event.operation, Digest())
        self._count(digest, UNGUARDED, operation=event.operation)

    def _attempt_failed(self, event: AttemptFailed) -> None:
        told = self._attempts.note((event.action, event.outcome, event.network), self._clock.monotonic())
        if told is not None:
            alone, count = told
            network = event.network if alone else "other"
            line = Audit(event.action, event.outcome, "", "", network=network)
            self._audit.info("Token audit", audit=True, count=count, **_audit_fields(line))

    def _login_finished(self, event: LoginFinished) -> None:
        fields = {"upstream": event.upstream, "reason": event.reason, "duration": round(event.seconds, 3)}
        if event.result == "ok":
            self._log.info(LOGGED_IN if event.reason == "initial" else LOGGED_IN_AGAIN, **fields)
            return
        text = LOGIN_TIMEOUT if event.result == "timeout" else LOGIN_FAILED
        self._log.error(text, problem=event.problem, pause=round(event.pause, 3), **fields)

    def _usage_level(self, event: UsageLevelChanged) -> None:
        tell = self._log.info if event.level == "ok" else self._log.warning
        tell(USAGE, upstream=event.upstream, level=event.level, ratio=round(event.ratio, 4))

    def _gateway_error(self, event: Refused) -> None:
        if event.code == "redis-required":
            self._count(self._required, REDIS_REQUIRED, route=event.route, problem=event.private)
            return
        if event.code == "maintenance":
            return  # told by MaintenanceAnswered
        if event.code not in _WARNINGS:
            self._log.debug("Request refused", code=event.code, route=event.route, problem=event.private)
            return
        digest = self._refused.setdefault((event.upstream, event.code), Digest())
        self._count(digest, "Request failed", code=event.code, upstream=event.upstream, problem=event.private)


def _audit_fields(event: Audit) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in _AUDIT_NAMES}
    # `token` here is a prefix of a keyed hash: it must survive redaction, so it travels under a name of its own.
    fields["token_hash"] = fields.pop("token")
    return fields
