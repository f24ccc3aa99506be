"""Every metric of the gateway, by name, in one place.

The one idea: a registry of its own for each gateway (nothing global), base units, and children made in advance, so that
a rate over a counter that has not moved yet is zero rather than absent. Labels come from configuration only.
"""

from __future__ import annotations

from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway import __version__

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05)
QUEUE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
REDIS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
LOGIN_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
FAMILY_BUCKETS = (1, 2, 3, 5, 8, 10, 20, 50)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are labels of their own; every other is `other`, since the client chooses it."""

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one gateway; attributes are named like the metrics, without the prefix `gateway_`."""

    def __init__(self) -> None:  # long, because it is the list of all names, to be read in one go
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gateway_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"gateway_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
            return Histogram(f"gateway_{name}", text, labels, registry=registry, buckets=tuple(buckets))

        self.requests_total = counter("requests_total", "Requests of clients.", "route", "method", "code")
        self.request_duration_seconds = histogram(
            "request_duration_seconds", "From the request's header section to the last byte.", REQUEST_BUCKETS, "route"
        )
        self.request_overhead_seconds = histogram(
            "request_overhead_seconds", "Time not spent waiting for the upstream.", OVERHEAD_BUCKETS, "route"
        )
        self.requests_in_flight = gauge("requests_in_flight", "Requests under way.", "direction")
        self.upstream_errors_total = counter(
            "upstream_errors_total", "Calls that an upstream did not answer.", "upstream", "reason"
        )
        self.upstream_responses_total = counter(
            "upstream_responses_total", "Answers of an upstream by status.", "upstream", "code"
        )
        self.upstream_retries_total = counter(
            "upstream_retries_total", "Calls made again, by what the last attempt met.", "upstream", "reason"
        )
        self.maintenance_active = gauge("maintenance_active", "1 while maintenance is on.")
        self.maintenance_responses_total = counter("maintenance_responses_total", "Requests answered by maintenance.")
        self.draining = gauge("draining", "1 while the gateway drains.")
        self.redis_up = gauge("redis_up", "1 while Redis answers; absent when nothing uses Redis.")
        self.redis_command_duration_seconds = histogram(
            "redis_command_duration_seconds", "Time to an answer of Redis.", REDIS_BUCKETS, "command"
        )
        self.redis_errors_total = counter("redis_errors_total", "Commands that Redis did not answer well.", "kind")
        self.token_operations_total = counter(
            "token_operations_total", "Token operations by outcome.", "operation", "result"
        )
        self.token_reuse_detected_total = counter("token_reuse_detected_total", "Spent refresh tokens seen again.")
        self.token_families_evicted_total = counter("token_families_evicted_total", "Families ended by the cap.")
        self.token_families_per_user = histogram(
            "token_families_per_user", "Families of a user, seen at login.", FAMILY_BUCKETS
        )
        self.throttle_queue_depth = gauge("throttle_queue_depth", "Calls that wait.", "upstream", "lane")
        self.throttle_in_flight = gauge("throttle_in_flight", "Calls that hold a permit.", "upstream", "lane")
        self.throttle_queue_wait_seconds = histogram(
            "throttle_queue_wait_seconds", "From arrival to dispatch.", QUEUE_BUCKETS, "upstream", "lane"
        )
        self.throttle_calls_total = counter("throttle_calls_total", "Calls by outcome.", "upstream", "lane", "outcome")
        self.throttle_concurrency_limit = gauge(
            "throttle_concurrency_limit", "Calls in flight allowed.", "upstream", "lane"
        )
        self.throttle_rate_limit = gauge("throttle_rate_limit", "Calls a window allowed.", "upstream")
        self.throttle_window_used_ratio = gauge("throttle_window_used_ratio", "Share of the window used.", "upstream")
        self.throttle_degraded = gauge(
            "throttle_degraded", "1 while a shared limit is kept by shares, because Redis cannot be asked.", "upstream"
        )
        self.breaker_open = gauge("breaker_open", "1 while the upstream is left alone, but for probes.", "upstream")
        self.salesforce_auth_duration_seconds = histogram(
            "salesforce_auth_duration_seconds", "Time of a login to Salesforce, good or bad.", LOGIN_BUCKETS
        )
        self.salesforce_auth_total = counter("salesforce_auth_total", "Logins to Salesforce.", "result", "reason")
        self.salesforce_session_expired_total = counter(
            "salesforce_session_expired_total", "Sessions that Salesforce ended."
        )
        self.salesforce_api_usage_ratio = gauge(
            "salesforce_api_usage_ratio", "Share of Salesforce's daily limit of calls that is used."
        )
        self.config_last_reload_successful = gauge(
            "config_last_reload_successful", "1 while the configuration that was read last is the one in force."
        )
        self.config_reloads_total = counter("config_reloads_total", "Reloads of the configuration.", "result")
        for result in ("ok", "failed"):
            self.config_reloads_total.labels(result)
        self.event_loop_lag_seconds = gauge("event_loop_lag_seconds", "How late the event loop woke up last.")
        build = gauge("build_info", "Always 1; the version is a label.", "version")
        build.labels(__version__).set(1)

    def without_redis(self) -> None:
        """Expose no `redis_up`: nothing uses Redis, so nobody should be alerted that it is away."""
        self.registry.unregister(self.redis_up)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type, in the format that `accept` asks for."""
        encoder, content_type = prometheus_client.exposition.choose_encoder(accept)
        return encoder(self.registry), content_type
