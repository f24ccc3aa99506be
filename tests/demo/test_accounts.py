"""The published credentials."""

from __future__ import annotations

from gateway.demo import accounts


def test_every_published_secret_is_found_by_the_search_for_leaks() -> None:
    """Each secret of the demo holds the text that the suite searches all log lines for."""
    secrets = [
        accounts.PASSWORD,
        accounts.TOKEN_KEY,
        accounts.WHMCS.secret,
        accounts.WHMCS.accesskey,
        accounts.SALESFORCE.client_secret,
        accounts.SALESFORCE.password,
    ]
    assert all(secret.startswith("hush-") for secret in secrets)
