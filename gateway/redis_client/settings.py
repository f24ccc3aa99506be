"""The `redis:` section of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.settings import PositiveDuration, Settings

EMBEDDED = "embedded"


class ProbeSettings(Settings):
    """How often Redis is asked, and how many equal answers in a row change the verdict."""

    interval: PositiveDuration = 1.0
    failures: Annotated[int, Field(ge=1)] = 2
    successes: Annotated[int, Field(ge=1)] = 2


class RedisSettings(Settings):
    """Where Redis is and how long the gateway waits for it."""

    url: Annotated[str, Field(repr=False)] = EMBEDDED
    """`embedded`, or one of the shapes of `gateway.redis_client.url`; never printed with its password."""
    ca_file: Path | None = None
    """PEM: the authorities, and the only ones, that may vouch for a server of `rediss…`; null: those of the system."""
    key_prefix: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9:_.-]{1,64}$", description="1 to 64 letters, digits and : _ . -")
    ] = "gw"
    connect_timeout: PositiveDuration = 0.25
    command_timeout: PositiveDuration = 0.5
    allow_embedded: bool = False
    data_dir: Path | None = None
    """Where the embedded server keeps its data; null: a temporary folder that goes with the process."""
    probe: ProbeSettings = ProbeSettings()
