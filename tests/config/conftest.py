"""A folder for a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.support import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder with an empty `config.yaml`."""
    return Place(tmp_path).config("")
