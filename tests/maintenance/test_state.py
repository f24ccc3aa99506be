"""Whether maintenance is on."""

from __future__ import annotations

from gateway.maintenance.settings import DEFAULT_MESSAGE, MaintenanceSettings
from gateway.maintenance.state import Off, On, state


def test_it_is_off_unless_the_configuration_switches_it_on() -> None:
    """A message alone switches nothing."""
    assert state(MaintenanceSettings(message="Back soon")) == Off()


def test_on_carries_all_that_an_answer_needs() -> None:
    """The message and the time to come back are the operator's, or the defaults."""
    assert state(MaintenanceSettings(enabled=True)) == On(DEFAULT_MESSAGE, 120.0)
    assert state(MaintenanceSettings(enabled=True, message="Back soon", retry_after=30.0)) == On("Back soon", 30.0)
