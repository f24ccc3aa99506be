"""What a policy says of Salesforce: how the gateway logs in, and what it does when the day's calls run out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from gateway.salesforce.instance import origin
from gateway.settings import PositiveDuration, Settings, Unsuitable

LoginType = Literal["salesforce_jwt", "salesforce_client_credentials", "salesforce_password"]
Priority = Literal["high", "normal", "low"]
Ratio = Annotated[float, Field(gt=0, le=1, description="a share of the daily limit, more than 0 and at most 1")]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _token_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the brackets or the port
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise Unsuitable("a token URL is https://HOST/services/oauth2/token, without credentials")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise Unsuitable("a token URL must be https://, because credentials are sent there")
    return value


class AuthSettings(Settings):
    """The gateway's own login; without a `type` the clients' credentials pass through, and `timeout` is their login's.

    Beside each secret, `KEY_file` names a file that holds it.
    """

    SECRETS: ClassVar[tuple[str, ...]] = ("client_secret", "password", "private_key")
    """What a reload puts in force, for the next login."""

    type: LoginType | None = None
    token_url: Annotated[str, AfterValidator(_token_url)] = "https://login.salesforce.com/services/oauth2/token"  # noqa: S105
    client_id: str = ""
    """The consumer key of the connected app."""
    client_secret: SecretStr | None = None
    username: str = ""
    password: SecretStr | None = None
    """With the security token behind it, where the organisation asks for one."""
    private_key: SecretStr | None = None
    """RSA, in PEM form: signs the assertion of `salesforce_jwt`."""
    timeout: PositiveDuration = 30.0
    """Of one login."""
    ttl: PositiveDuration = 720.0
    """For how long a session is used. Salesforce does not tell how long one lasts."""
    refresh_buffer: PositiveDuration = 60.0
    """A session is renewed so long before its `ttl` is over."""

    @property
    def address(self) -> str:
        """Where calls go when nothing else says so: the host of the login; empty without a login."""
        return origin(self.token_url) if self.type is not None else ""

    def without_secrets(self) -> Self:
        """Return what only a restart changes."""
        return self.model_copy(update=dict.fromkeys(self.SECRETS))

    def renewed(self, found: AuthSettings) -> Self:
        """Return this login with the secrets of another."""
        return self.model_copy(update={name: getattr(found, name) for name in self.SECRETS})


class DailySettings(Settings):
    """What happens as the daily limit of calls comes near. Both shares are those of `Sforce-Limit-Info`."""

    warn: Ratio = 0.8
    """From here on the log says so."""
    stop: Ratio = 0.95
    """From here on only calls of the priorities in `keep_for` pass."""
    keep_for: tuple[Priority, ...] = ("high",)
