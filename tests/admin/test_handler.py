"""Probes and metrics."""

from __future__ import annotations

import json

import pytest

from gateway.admin.handler import AdminHandler
from gateway.admin.health import Health
from gateway.exchange import Exchange, Reply, header, read_all
from gateway.observability.metrics import Metrics


async def ask(health: Health, target: bytes, method: str = "GET", accept: bytes = b"") -> tuple[Reply, bytes]:
    handler = AdminHandler(health, Metrics().render)
    headers = [(b"Accept", accept)] if accept else []
    reply = await handler.handle(Exchange(method, target, headers))
    return reply, await read_all(reply.body, 2**20)


@pytest.mark.parametrize(
    ("started", "draining", "startup", "ready"),
    [(False, False, 503, 503), (True, False, 200, 200), (True, True, 200, 503)],
)
async def test_probes_tell_started_and_ready_apart(started: bool, draining: bool, startup: int, ready: int) -> None:
    """A gateway that drains is started and alive but not ready; one that starts is neither."""
    health = Health(lambda: "available", started, draining)
    assert (await ask(health, b"/startupz"))[0].status == startup
    assert (await ask(health, b"/readyz"))[0].status == ready
    assert (await ask(health, b"/healthz"))[0].status == 200


async def test_redis_away_stays_ready_and_the_body_says_so() -> None:
    """A shared outage does not take the pod out."""
    reply, content = await ask(Health(lambda: "unavailable", started=True), b"/readyz?verbose")
    assert reply.status == 200
    assert json.loads(content) == {"status": "ready", "redis": "unavailable"}


@pytest.mark.parametrize(
    ("accept", "kind"), [(b"", b"text/plain"), (b"application/openmetrics-text;version=1.0.0", b"openmetrics")]
)
async def test_metrics_come_in_the_format_that_is_asked_for(accept: bytes, kind: bytes) -> None:
    """Prometheus gets OpenMetrics when it accepts it, else the text format."""
    reply, content = await ask(Health(lambda: "available"), b"/metrics", accept=accept)
    assert kind in (header(reply.headers, b"content-type") or b"")
    assert b"gateway_build_info" in content


async def test_other_paths_and_methods_are_refused() -> None:
    """An unknown path is 404 and names what there is; a POST is 405."""
    reply, content = await ask(Health(lambda: "available"), b"/")
    assert reply.status == 404
    assert b"/metrics" in content
    assert (await ask(Health(lambda: "available"), b"/metrics", "POST"))[0].status == 405
