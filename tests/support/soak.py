"""Tests with a long form, which `make soak` runs: the same rules, more of everything."""

from __future__ import annotations

import os
from typing import Final, TypeVar

import pytest

_T = TypeVar("_T")

SOAKING: Final = bool(os.environ.get("GATEWAY_SOAK"))

soak_only = pytest.mark.skipif(not SOAKING, reason="has a long form only: make soak")


def short_or_long(short: _T, long: _T) -> _T:
    """Return what the run at hand is to use."""
    return long if SOAKING else short


def tell(figure: str) -> None:
    """Print a figure, for whoever runs with `-s`, as `make soak` does."""
    print(figure)  # noqa: T201
