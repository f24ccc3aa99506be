"""The maintenance layer."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.events import Event
from gateway.exchange import Exchange, Reply
from gateway.maintenance.events import MaintenanceAnswered, MaintenanceChanged
from gateway.maintenance.layer import MaintenanceLayer
from gateway.maintenance.settings import MaintenanceSettings

LOGIN = Exchange("POST", b"/api/auth/login", [(b"Cookie", b"x")], route="POST /api/auth/login")
HEALTH = Exchange("GET", b"/health", [])
OTHER = Exchange("GET", b"/products", [])
ON = MaintenanceSettings(enabled=True, message="Zurück um 12 <Uhr>", retry_after=60.0)


def layer(settings: MaintenanceSettings, events: list[Event]) -> MaintenanceLayer:
    return MaintenanceLayer(settings, lambda e: e is not OTHER, lambda e: e is HEALTH, events.append)


async def ok(exchange: Exchange) -> Reply:
    return Reply(200)


async def never(exchange: Exchange) -> Reply:
    raise AssertionError("must not be forwarded")


async def test_under_maintenance_the_client_gets_the_message_and_the_backend_nothing() -> None:
    """503 `maintenance` with the operator's words and Retry-After; no cookie is set or cleared."""
    events: list[Event] = []
    with pytest.raises(GatewayError) as caught:
        await layer(ON, events).handle(LOGIN, never)
    error = caught.value
    assert (error.code, error.status) == ("maintenance", 503)
    assert (error.detail, error.retry_after, error.headers) == ("Zurück um 12 <Uhr>", 60.0, [])
    assert events == [MaintenanceAnswered("POST /api/auth/login")]


@pytest.mark.parametrize(
    ("settings", "exchange"),
    [(ON, HEALTH), (ON, OTHER), (MaintenanceSettings(), LOGIN), (MaintenanceSettings(), OTHER)],
)
async def test_all_else_is_served(settings: MaintenanceSettings, exchange: Exchange) -> None:
    """Excepted routes, other routes, and every route while it is off."""
    events: list[Event] = []
    assert (await layer(settings, events).handle(exchange, ok)).status == 200
    assert events == []


def test_it_is_announced_at_start_only_when_it_is_on() -> None:
    """The log and the metrics learn of it before the first request."""
    events: list[Event] = []
    layer(MaintenanceSettings(), events).announce()
    assert events == []
    layer(ON, events).announce()
    assert events == [MaintenanceChanged(True)]
