"""What `gateway demo --only` prints: where a vendor's simulator is, and lines to paste that drive it.

The one idea: each line is complete by itself, as in the tour, and every control is shown by one that uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from gateway.demo.accounts import SALESFORCE, WHMCS
from gateway.demo.salesforce_login import TOKEN_ENDPOINT
from gateway.demo.simulator import PREFIX
from gateway.demo.whmcs import ENDPOINT

_QUERY: Final = "/services/data/v62.0/query?q=SELECT+Id,Name+FROM+Contact"
_FIELD: Final = """sed 's/.*"access_token": "\\([^"]*\\)".*/\\1/'"""


def salesforce(address: str) -> str:
    """Return the guide to the simulated Salesforce at a base URL."""
    form = urlencode(
        {
            "grant_type": "password",
            "client_id": SALESFORCE.client_id,
            "client_secret": SALESFORCE.client_secret,
            "username": SALESFORCE.username,
            "password": SALESFORCE.password,
        }
    )
    query = f"{address}{_QUERY}"
    log_in = f"curl -s -d '{form}' {address}{TOKEN_ENDPOINT}"
    return _text(
        f"A simulated Salesforce is at {address} (user {SALESFORCE.username}, client {SALESFORCE.client_id}).",
        {
            "Log in": f"{log_in}; echo",
            "Log in and query": f"""curl -s -H "Authorization: Bearer $({log_in} | {_FIELD})" '{query}'; echo""",
            "Get the key that the JWT bearer flow signs with": f"curl -s {address}{PREFIX}/private-key",
            "End every session": f"curl -s -X POST {address}{PREFIX}/end-sessions",
            "Let one call in ten end its session": _change(address, '{"expire_probability": 0.1}'),
            "Let the next two logins fail": _change(
                address, '{"login_fault": "login_rate_exceeded", "login_fault_times": 2}'
            ),
        },
        address,
    )


def whmcs(address: str) -> str:
    """Return the guide to the simulated WHMCS at a base URL."""
    credentials = {"identifier": WHMCS.identifier, "secret": WHMCS.secret, "responsetype": "json"}
    read = urlencode({**credentials, "action": "GetClients"})
    write = urlencode({**credentials, "action": "AddOrder", "clientid": 1, "pid[0]": 1})
    return _text(
        f"A simulated WHMCS is at {address}{ENDPOINT} (identifier {WHMCS.identifier}).",
        {
            "Read": f"curl -s -d '{read}' {address}{ENDPOINT}; echo",
            "Write": f"curl -s -d '{write}' {address}{ENDPOINT}; echo",
            "Refuse the caller's address": _change(address, '{"allow_ip": false}'),
            "Let the next three calls be too many": _change(address, '{"fault": "rate_limit", "fault_times": 3}'),
        },
        address,
    )


GUIDES: Final[Mapping[str, Callable[[str], str]]] = {"salesforce": salesforce, "whmcs": whmcs}


def _change(address: str, changes: str) -> str:
    return f"curl -s -X PUT -d '{changes}' {address}{PREFIX}/behaviour; echo"


def _text(headline: str, steps: Mapping[str, str], address: str) -> str:
    always = {
        "See all that can be changed": f"curl -s {address}{PREFIX}/behaviour; echo",
        "See what it has seen": f"curl -s {address}{PREFIX}/report; echo",
        "Count from zero again": f"curl -s -X POST {address}{PREFIX}/reset",
    }
    lines = ["", f"{headline} Ctrl-C stops it.", ""]
    for what, command in {**steps, **always}.items():
        lines += [f"{what}:", command, ""]
    return "\n".join(lines)
