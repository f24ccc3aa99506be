"""What the documentation says of the simulators."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from gateway.demo.behaviour import LoginFault, SalesforceBehaviour, SalesforceFault, WhmcsBehaviour, WhmcsFault

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "simulate-the-vendors.md").read_text("utf-8")


def test_every_behaviour_and_fault_is_documented() -> None:
    """Whatever can be changed is named on the page, and so is each value of a fault."""
    names = {*SalesforceBehaviour.model_fields, *WhmcsBehaviour.model_fields}
    values = {value for fault in (LoginFault, SalesforceFault, WhmcsFault) for value in get_args(fault)}
    assert [name for name in sorted(names | values) if f"`{name}`" not in PAGE] == []
