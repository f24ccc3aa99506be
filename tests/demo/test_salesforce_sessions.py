"""The simulated Salesforce's logins, and how each API tells that a session has ended."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from aiohttp import ClientSession, encode_basic_auth

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_sessions import Sessions
from gateway.demo.services import Services
from tests.demo.salesforce_client import CLIENT, PASSWORD, log_in
from tests.demo.stepped import SteppedClock

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def assertion(**changed: Any) -> str:
    claims = {"iss": SALESFORCE.client_id, "sub": SALESFORCE.username, "aud": "login", "exp": 4_000_000_000}
    return jwt.encode({**claims, **changed}, "hush-" * 8, "HS256")


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (PASSWORD, {}),
        ({**CLIENT, "grant_type": "client_credentials"}, {}),
        ({"grant_type": "client_credentials"}, {"Authorization": encode_basic_auth(*CLIENT.values())}),
        ({"grant_type": BEARER, "assertion": assertion()}, {}),
    ],
    ids=["password", "client_credentials", "client_credentials_basic", "jwt_bearer"],
)
async def test_every_grant_opens_a_session(
    services: Services, client: ClientSession, form: dict[str, str], headers: dict[str, str]
) -> None:
    """Each grant gives a token and the instance's address, and no expiry; while it is good, the same token again."""
    status, answer = await log_in(client, services, form, headers=headers)
    assert (status, answer["token_type"], answer["instance_url"]) == (200, "Bearer", services.addresses["salesforce"])
    assert "expires_in" not in answer
    _, again = await log_in(client, services, form, headers=headers)
    same = again["access_token"] == answer["access_token"]
    assert same


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_client"),
        ({**PASSWORD, "client_secret": "hush-wrong"}, "invalid_client"),
        ({**PASSWORD, "password": "hush-wrong"}, "invalid_grant"),
        ({**CLIENT, "grant_type": "device"}, "unsupported_grant_type"),
        ({"grant_type": BEARER, "assertion": "hush-nonsense"}, "invalid_grant"),
        ({"grant_type": BEARER, "assertion": assertion(exp=1)}, "invalid_grant"),
        ({"grant_type": BEARER, "assertion": assertion(iss="other")}, "invalid_client_id"),
        ({"grant_type": BEARER, "assertion": assertion(sub="other")}, "invalid_grant"),
    ],
    ids=["nothing", "client", "password", "grant", "nonsense", "expired", "issuer", "user"],
)
async def test_a_failed_login_says_why(
    services: Services, client: ClientSession, form: dict[str, str], error: str
) -> None:
    """A login that fails is a 400 with the error's code."""
    status, answer = await log_in(client, services, form)
    assert (status, answer["error"]) == (400, error)


async def test_a_broken_basic_field_is_a_wrong_client(services: Services, client: ClientSession) -> None:
    """An Authorization field that is not Basic at all is refused as wrong credentials."""
    form = {"grant_type": "client_credentials"}
    status, answer = await log_in(client, services, form, headers={"Authorization": "Basic"})
    assert (status, answer["error"]) == (400, "invalid_client")


def test_a_session_ends_when_its_time_is_over() -> None:
    """A token is good until its session's end, and the login after it gives another one."""
    clock = SteppedClock()
    sessions = Sessions(clock, ttl=60)
    token = sessions.open("who")
    clock.now = 59.9
    assert sessions.good(token)
    clock.now = 60
    assert not sessions.good(token)
    another = sessions.open("who") != token
    assert another


def test_a_session_never_opened_is_not_good() -> None:
    """Neither an empty nor an invented token is good, whatever the clock says."""
    clock = SteppedClock()
    clock.now = -1.0
    sessions = Sessions(clock, ttl=60)
    assert not sessions.good("")
    assert not sessions.good("00Dinvented")


async def test_bulk_v1_refuses_in_xml_or_json(services: Services, client: ClientSession) -> None:
    """The old Bulk API tells an ended session with 400, in the form the client speaks."""
    url = f"{services.addresses['salesforce']}/services/async/62.0/job"
    async with client.post(url, data="<jobInfo/>", headers={"Content-Type": "application/xml"}) as response:
        assert response.status == 400
        assert "<exceptionCode>InvalidSessionId</exceptionCode>" in await response.text()
    async with client.post(url, json={}) as response:
        assert (response.status, (await response.json())["exceptionCode"]) == (400, "InvalidSessionId")


async def test_soap_carries_the_session_in_its_body(services: Services, client: ClientSession) -> None:
    """SOAP answers a fault with status 500 unless the body holds a good session."""
    url = f"{services.addresses['salesforce']}/services/Soap/u/62.0"
    _, session = await log_in(client, services, PASSWORD)
    for token, status, text in (
        (session["access_token"], 200, "getServerTimestampResponse"),
        ("gone", 500, "<faultcode>sf:INVALID_SESSION_ID</faultcode>"),
    ):
        envelope = f"<e:Envelope><e:Header><n:sessionId>{token}</n:sessionId></e:Header></e:Envelope>"
        async with client.post(url, data=envelope, headers={"Content-Type": "text/xml"}) as response:
            assert response.status == status
            assert text in await response.text()
