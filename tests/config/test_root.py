"""The shape of the whole configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import FileSettings


def test_frozen() -> None:
    """Nobody changes settings after they were validated."""
    with pytest.raises(ValidationError):
        FileSettings().log = None  # type: ignore[assignment]


def test_every_key_has_a_default() -> None:
    """The gateway starts with an empty `config.yaml`."""
    assert FileSettings.model_validate({}) == FileSettings()
