"""Reports of outages and maintenance reach the tokens' grace."""

from __future__ import annotations

from gateway.availability.events import RedisAvailable, RedisUnavailable
from gateway.events import Event
from gateway.maintenance.events import MaintenanceAnswered, MaintenanceChanged
from gateway.pauses import watched
from gateway.tokens.standstill import Standstill
from tests.tokens.support import SetClock


def test_an_outage_counts_from_the_first_answer_that_was_missed() -> None:
    """Told when Redis is back; what is reported goes on to whoever listened before."""
    clock, standstill, heard = SetClock(1000.0), Standstill(), list[Event]()
    report = watched(heard.append, standstill, clock)
    report(RedisUnavailable("timeout"))
    clock.advance(60)
    report(RedisAvailable(61.5))
    clock.advance(5)
    assert standstill.pauses(clock.now) == ((5000, 61_500),)
    assert heard == [RedisUnavailable("timeout"), RedisAvailable(61.5)]


def test_maintenance_counts_from_on_to_off() -> None:
    """While it is on it grows, and each answer of it changes nothing."""
    clock, standstill = SetClock(1000.0), Standstill()
    report = watched(lambda event: None, standstill, clock)
    report(MaintenanceChanged(True))
    clock.advance(30)
    report(MaintenanceAnswered("POST /api/auth/refresh"))
    assert standstill.pauses(clock.now) == ((0, 30_000),)
    report(MaintenanceChanged(False))
    clock.advance(1)
    assert standstill.pauses(clock.now) == ((1000, 30_000),)
