"""simple-salesforce against a server of the tests, unmodified.

The one idea: it always speaks https, and logs in at a hard-wired `https://login.salesforce.com`. So the server speaks
TLS, and the `requests` session that it is given has an adapter mounted there, which sends to the server instead.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from gateway.demo.accounts import SALESFORCE

VERSION = "62.0"
MY_DOMAIN = "demo.my"


class LoginAdapter(HTTPAdapter):
    """Sends every request to one server, whatever host its URL names."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = urlsplit(server)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        request.url = urlunsplit(parts._replace(scheme=self._server.scheme, netloc=self._server.netloc))
        return super().send(request, *args, **kwargs)


def session(server: str) -> requests.Session:
    """Return a session whose logins at Salesforce reach `server`; the test closes it."""
    made = requests.Session()
    for host in ("https://login.salesforce.com", f"https://{MY_DOMAIN}.salesforce.com"):
        made.mount(host, LoginAdapter(server))
    return made


def with_security_token(http: requests.Session) -> Salesforce:
    """Log in by SOAP, with the password and the security token."""
    return Salesforce(
        username=SALESFORCE.username,
        password=SALESFORCE.password,
        security_token=SALESFORCE.security_token,
        version=VERSION,
        session=http,
    )


def with_password(http: requests.Session) -> Salesforce:
    """Log in by OAuth, with the password."""
    return Salesforce(
        username=SALESFORCE.username,
        password=SALESFORCE.password,
        consumer_key=SALESFORCE.client_id,
        consumer_secret=SALESFORCE.client_secret,
        version=VERSION,
        session=http,
    )


def with_client_credentials(http: requests.Session) -> Salesforce:
    """Log in as the app, at a My Domain host."""
    return Salesforce(
        consumer_key=SALESFORCE.client_id,
        consumer_secret=SALESFORCE.client_secret,
        domain=MY_DOMAIN,
        version=VERSION,
        session=http,
    )


def with_key(http: requests.Session, private_key: str) -> Salesforce:
    """Log in by the JWT bearer flow."""
    return Salesforce(
        username=SALESFORCE.username,
        consumer_key=SALESFORCE.client_id,
        privatekey=private_key,
        version=VERSION,
        session=http,
    )
