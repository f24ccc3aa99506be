"""Events to metrics.

The one idea: one small method for each kind of event, looked up by its type; children of labelled metrics are made once
and kept, because looking a child up by its labels costs more than moving it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.availability.events import RedisAvailable, RedisUnavailable
from gateway.events import Event
from gateway.maintenance.events import MaintenanceAnswered, MaintenanceChanged
from gateway.observability.metrics import Metrics
from gateway.redis_client.events import CommandFailed, CommandFinished
from gateway.retry.events import BreakerRefused, Retried
from gateway.salesforce.events import LoginFinished, SessionExpired, UsageSeen
from gateway.throttle.events import CallDispatched, CallFinished
from gateway.tokens.events import ExcessFamiliesCleaned, FamiliesAtLogin, ReuseDetected, TokenOperation
from gateway.wire.events import UpstreamFailed, UpstreamResponded

UPSTREAM_REASONS: Final = ("connect", "dns", "tls", "timeout", "protocol", "disconnect")
REDIS_KINDS: Final = ("timeout", "connection", "loading", "readonly", "oom", "auth", "other")


class Children:
    """The children of one labelled metric, kept by their label values."""

    __slots__ = ("_children", "_metric")

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Any] = {}

    def __call__(self, *labels: str) -> Any:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class Recorder:
    """Moves the metrics as events come in."""

    def __init__(self, metrics: Metrics, upstreams: Sequence[str] = ()) -> None:
        """`upstreams` are those whose counters exist before they have failed."""
        self._responses = Children(metrics.upstream_responses_total)
        self._errors = Children(metrics.upstream_errors_total)
        self._retries = Children(metrics.upstream_retries_total)
        self._commands = Children(metrics.redis_command_duration_seconds)
        self._redis_errors = Children(metrics.redis_errors_total)
        self._operations = Children(metrics.token_operations_total)
        self._waits = Children(metrics.throttle_queue_wait_seconds)
        self._calls = Children(metrics.throttle_calls_total)
        self._logins = Children(metrics.salesforce_auth_total)
        self._login_seconds = metrics.salesforce_auth_duration_seconds
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            UpstreamResponded: lambda e: self._responses(e.upstream, str(e.status)).inc(),
            UpstreamFailed: lambda e: self._errors(e.upstream, e.reason).inc(),
            CommandFinished: lambda e: self._commands(e.command).observe(e.seconds),
            CommandFailed: lambda e: self._redis_errors(e.kind).inc(),
            RedisAvailable: lambda e: metrics.redis_up.set(1),
            RedisUnavailable: lambda e: metrics.redis_up.set(0),
            MaintenanceChanged: lambda e: metrics.maintenance_active.set(e.active),
            MaintenanceAnswered: lambda e: metrics.maintenance_responses_total.inc(),
            TokenOperation: lambda e: self._operations(e.operation, e.result).inc(),
            FamiliesAtLogin: lambda e: metrics.token_families_per_user.observe(e.count),
            ExcessFamiliesCleaned: lambda e: metrics.token_families_evicted_total.inc(len(e.families)),
            ReuseDetected: lambda e: metrics.token_reuse_detected_total.inc(),
            CallDispatched: lambda e: self._waits(e.upstream, e.lane).observe(e.waited),
            CallFinished: self._finished,
            BreakerRefused: lambda e: self._calls(e.upstream, e.lane, "breaker_open").inc(),
            Retried: lambda e: self._retries(e.upstream, e.reason).inc(),
            LoginFinished: self._logged_in,
            SessionExpired: lambda e: metrics.salesforce_session_expired_total.inc(),
            UsageSeen: lambda e: metrics.salesforce_api_usage_ratio.set(e.ratio),
        }
        for upstream in upstreams:
            for reason in UPSTREAM_REASONS:
                self._errors(upstream, reason)
        for kind in REDIS_KINDS:
            self._redis_errors(kind)

    def _logged_in(self, event: LoginFinished) -> None:
        self._logins(event.result, event.reason).inc()
        self._login_seconds.observe(event.seconds)

    def _finished(self, event: CallFinished) -> None:
        self._calls(event.upstream, event.lane, event.outcome).inc()
        if event.outcome == "timeout":  # the lane's limit: the vendor's road itself only saw a cancellation
            self._errors(event.upstream, "timeout").inc()

    def __call__(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
