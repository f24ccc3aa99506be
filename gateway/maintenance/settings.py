"""The `maintenance:` section of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.settings import PositiveDuration, Route, Settings, parse_route

DEFAULT_MESSAGE = "Authentication service is temporarily unavailable for maintenance. Please try again later."


class MaintenanceSettings(Settings):
    """When and where the gateway answers 503 by itself."""

    enabled: bool = False
    message: Annotated[str, Field(min_length=1)] = DEFAULT_MESSAGE
    routes: Literal["tokens"] | tuple[Route, ...] = "tokens"
    except_: Annotated[tuple[Route, ...], Field(alias="except")] = tuple(
        map(parse_route, ("/health", "/healthz", "/livez", "/readyz"))
    )
    retry_after: PositiveDuration = 120.0
