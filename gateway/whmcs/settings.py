"""What a policy says of the gateway's own credentials for WHMCS."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import SecretStr

from gateway.settings import Settings


class WhmcsAuth(Settings):
    """The gateway's own API credentials. Beside each, `KEY_file` names a file that holds it."""

    SECRETS: ClassVar[tuple[str, ...]] = ("identifier", "secret", "accesskey")
    """What a reload puts in force, for the next call."""

    type: Literal["whmcs"]
    identifier: SecretStr | None = None
    secret: SecretStr | None = None
    accesskey: SecretStr | None = None
    """Lets calls from an address pass that is not on WHMCS's allow-list."""

    address: ClassVar[str] = ""
    """There is no login that would tell where calls go: `base_url` says it."""

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The fields that a form has to hold, by WHMCS's names."""
        given = ((name, getattr(self, name)) for name in self.SECRETS)
        return [(name, value.get_secret_value()) for name, value in given if value and value.get_secret_value()]

    def without_secrets(self) -> Self:
        """Return what only a restart changes."""
        return self.model_copy(update=dict.fromkeys(self.SECRETS))
