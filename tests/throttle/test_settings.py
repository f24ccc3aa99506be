"""The policy's settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.throttle.settings import RateSettings


@pytest.mark.parametrize("guard", ["0s", "0.5ms"])
def test_a_guard_shorter_than_waking_a_call_is_refused(guard: str) -> None:
    """With such a guard every slot would be spent before its call is awake."""
    with pytest.raises(ValidationError):
        RateSettings.model_validate({"cap": 1, "guard": guard})
