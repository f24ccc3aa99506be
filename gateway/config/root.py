"""The whole configuration: `config.yaml` with its sections, and the policies beside it."""

from __future__ import annotations

from pathlib import Path

from gateway.config.policy import Policy
from gateway.maintenance.settings import MaintenanceSettings
from gateway.observability.settings import LogSettings
from gateway.redis_client.settings import RedisSettings
from gateway.settings import Address, Duration, PositiveDuration, Settings
from gateway.tokens.settings import TokenSettings
from gateway.wire.settings import IngressSettings


class AdminSettings(Settings):
    """Where kubelet and Prometheus come in."""

    listen: Address = "0.0.0.0:9900"


class ShutdownSettings(Settings):
    """How the gateway ends."""

    wait: Duration = 5.0
    """Not ready, still accepting; skipped on SIGINT."""
    timeout: PositiveDuration = 25.0
    """From the end of `wait`: what is in flight may finish for so long."""


class FileSettings(Settings):
    """`config.yaml`, section by section."""

    ingress: IngressSettings = IngressSettings()
    admin: AdminSettings = AdminSettings()
    redis: RedisSettings = RedisSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    tokens: TokenSettings = TokenSettings()
    policies: Path = Path("policies")
    """A directory, relative to the file that names it."""
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()


class GatewaySettings(Settings):
    """Everything the gateway is started with."""

    file: FileSettings
    policies: tuple[Policy, ...]
