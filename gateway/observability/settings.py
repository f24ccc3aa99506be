"""The `log:` section of the configuration."""

from __future__ import annotations

from typing import Literal

from gateway.settings import Settings


class LogSettings(Settings):
    """What is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
