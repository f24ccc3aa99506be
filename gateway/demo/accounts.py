"""The demo's public credentials: who can log in to the demo backend, and what its vendors accept.

The one idea: none of these protects anything, all of them are printed by the tour or written in the documentation;
the key that signs the tokens of a running demo is not among them, it is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Account:
    """A customer of the demo's portal. With `mfa` a password alone does not log in."""

    id: str
    email: str
    role: str
    mfa: bool = False


PASSWORD: Final = "hush-demo"  # noqa: S105 (a published password, the same for every account)

ACCOUNTS: Final = (
    Account("u-1", "ada@example.com", "admin"),
    Account("u-2", "grace@example.com", "customer"),
    Account("u-3", "mfa@example.com", "customer", mfa=True),
)

TOKEN_KEY: Final = "hush-demo-token-key-of-at-least-32-bytes"  # noqa: S105 (published)
"""What the backend verifies access tokens with when it is started by itself, without a gateway's own key."""


@dataclass(frozen=True, slots=True)
class WhmcsCredentials:
    """What an API client of WHMCS sends with each call."""

    identifier: str = "demo-identifier"
    secret: str = "hush-whmcs-secret"  # noqa: S105 (published)
    accesskey: str = "hush-whmcs-accesskey"


@dataclass(frozen=True, slots=True)
class SalesforceCredentials:
    """A connected app of Salesforce with its integration user; the app's key is `salesforce_key`."""

    client_id: str = "demo-client"
    client_secret: str = "hush-salesforce-secret"  # noqa: S105 (published)
    username: str = "integration@example.com"
    password: str = "hush-salesforce-password"  # noqa: S105 (published)
    security_token: str = "hush-salesforce-security-token"  # noqa: S105 (published)
    organization_id: str = "00Dsim000000001"
    user_id: str = "005sim000000001"


WHMCS: Final = WhmcsCredentials()
SALESFORCE: Final = SalesforceCredentials()
