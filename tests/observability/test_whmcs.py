"""What is told of WHMCS."""

from __future__ import annotations

from gateway.whmcs.events import CredentialsRefused
from tests.observability.test_journal import lines


def test_refused_credentials() -> None:
    """The pause is an error in the log, with its length."""
    (line,) = lines(CredentialsRefused("whmcs", 900.0))
    assert (line["log_level"], line["event"]) == ("error", "WHMCS refuses the credentials, its calls pause")
    assert (line["upstream"], line["pause"]) == ("whmcs", 900.0)
