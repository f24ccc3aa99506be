"""The simulated Salesforce's logins: each grant, each fault, and the SOAP login."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession, encode_basic_auth
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.demo.accounts import SALESFORCE
from gateway.demo.credentials import fingerprint
from gateway.demo.salesforce_key import private_pem
from gateway.demo.services import Services
from tests.demo.salesforce_client import CLIENT, PASSWORD, log_in

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def assertion(key: Any = None, algorithm: str = "RS256", **changed: Any) -> str:
    claims = {
        "iss": SALESFORCE.client_id,
        "sub": SALESFORCE.username,
        "aud": "https://login.salesforce.com",
        "exp": 4_000_000_000,
    }
    return jwt.encode({**claims, **changed}, key or private_pem(), algorithm)


@pytest.mark.parametrize(
    ("form", "headers", "grant"),
    [
        (PASSWORD, {}, "password"),
        ({**PASSWORD, "password": SALESFORCE.password + SALESFORCE.security_token}, {}, "password"),
        ({**CLIENT, "grant_type": "client_credentials"}, {}, "client_credentials"),
        (
            {"grant_type": "client_credentials"},
            {"Authorization": encode_basic_auth(*CLIENT.values())},
            "client_credentials",
        ),
        ({"grant_type": BEARER, "assertion": assertion()}, {}, "jwt_bearer"),
        ({"grant_type": BEARER, "assertion": assertion(exp="4000000000")}, {}, "jwt_bearer"),
    ],
    ids=["password", "password_and_token", "client_credentials", "client_credentials_basic", "jwt", "jwt_exp_as_text"],
)
async def test_every_grant_opens_a_session(
    services: Services, client: ClientSession, form: dict[str, str], headers: dict[str, str], grant: str
) -> None:
    """Each grant gives a token and the instance's address, and no expiry; while it is good, the same token again."""
    status, answer = await log_in(client, services, form, headers=headers)
    assert (status, answer["token_type"], answer["instance_url"]) == (200, "Bearer", services.addresses["salesforce"])
    assert "expires_in" not in answer
    _, again = await log_in(client, services, form, headers=headers)
    same = again["access_token"] == answer["access_token"]
    assert same
    assert services.salesforce.report(60)["logins"]["by_grant"] == {grant: 2}


async def test_the_server_itself_is_a_good_audience(services: Services, client: ClientSession) -> None:
    """An assertion may be meant for the address that it is sent to."""
    form = {"grant_type": BEARER, "assertion": assertion(aud=services.addresses["salesforce"])}
    assert (await log_in(client, services, form))[0] == 200


@pytest.mark.parametrize(
    ("form", "error", "description"),
    [
        ({}, "unsupported_grant_type", "grant type not supported"),
        ({**PASSWORD, "client_id": "other"}, "invalid_client_id", "client identifier invalid"),
        ({**PASSWORD, "client_secret": "hush-wrong"}, "invalid_client", "invalid client credentials"),
        ({**PASSWORD, "password": "hush-wrong"}, "invalid_grant", "authentication failure"),
        ({"grant_type": BEARER, "assertion": "hush-nonsense"}, "invalid_grant", "invalid assertion"),
        ({"grant_type": BEARER, "assertion": assertion(OTHER_KEY)}, "invalid_grant", "invalid assertion"),
        (
            {"grant_type": BEARER, "assertion": assertion("hush-" * 8, "HS256")},
            "invalid_grant",
            "invalid assertion",
        ),
        ({"grant_type": BEARER, "assertion": assertion(exp=1)}, "invalid_grant", "expired authorization code"),
        ({"grant_type": BEARER, "assertion": assertion(aud="other")}, "invalid_grant", "audience is invalid"),
        ({"grant_type": BEARER, "assertion": assertion(iss="other")}, "invalid_client_id", "client identifier invalid"),
        (
            {"grant_type": BEARER, "assertion": assertion(sub="other")},
            "invalid_grant",
            "user hasn't approved this consumer",
        ),
    ],
    ids=["none", "app", "secret", "password", "nonsense", "key", "algorithm", "expired", "audience", "issuer", "user"],
)
async def test_a_failed_login_says_why(
    services: Services, client: ClientSession, form: dict[str, str], error: str, description: str
) -> None:
    """A login that fails is a 400 with the error's code and Salesforce's words; a signature is really verified."""
    status, answer = await log_in(client, services, form)
    assert (status, answer) == (400, {"error": error, "error_description": description})


async def test_a_broken_basic_field_is_an_unknown_app(services: Services, client: ClientSession) -> None:
    """An Authorization field that is not Basic at all names nobody."""
    form = {"grant_type": "client_credentials"}
    status, answer = await log_in(client, services, form, headers={"Authorization": "Basic"})
    assert (status, answer["error"]) == (400, "invalid_client_id")


async def test_client_credentials_need_a_domain_of_their_own(services: Services, client: ClientSession) -> None:
    """The common login hosts do not serve this grant."""
    form = {**CLIENT, "grant_type": "client_credentials"}
    status, answer = await log_in(client, services, form, headers={"Host": "login.salesforce.com"})
    assert (status, answer["error_description"]) == (400, "request not supported on this domain")


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("authentication_failure", 400, "authentication failure"),
        ("not_approved", 400, "user hasn't approved this consumer"),
        ("login_rate_exceeded", 400, "login rate exceeded"),
        ("server_error", 500, "Unavailable"),
        ("unavailable", 503, "Unavailable"),
    ],
)
async def test_logins_fail_as_often_as_they_were_told_to(
    services: Services, client: ClientSession, fault: Any, status: int, text: str
) -> None:
    """Each fault of a login, for a number of times, after which good credentials work again."""
    services.salesforce.behaviour.login_fault = fault
    services.salesforce.behaviour.login_fault_times = 2
    url = f"{services.addresses['salesforce']}/services/oauth2/token"
    for _ in range(2):
        async with client.post(url, data=PASSWORD) as response:
            assert response.status == status
            assert text in await response.text()
    assert (await log_in(client, services, PASSWORD))[0] == 200


async def test_a_hanging_login_answers_nobody(services: Services, client: ClientSession) -> None:
    """It is counted, and holds its caller until that one leaves."""
    services.salesforce.behaviour.login_fault = "hang"

    async def attempt() -> None:
        await log_in(client, services, PASSWORD)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(attempt())
        while services.salesforce.report(60)["logins"]["count"] != 1:
            await asyncio.sleep(0.001)
        assert not waiting.done()
        waiting.cancel()


async def test_too_many_logins_an_hour(services: Services, client: ClientSession) -> None:
    """Beyond the hourly number logins are refused, and the report tells when each came and what was refused."""
    services.salesforce.behaviour.logins_per_hour = 2
    answers = [await log_in(client, services, PASSWORD) for _ in range(3)]
    assert [status for status, _ in answers] == [200, 200, 400]
    assert answers[2][1]["error_description"] == "login rate exceeded"
    logins = services.salesforce.report(60)["logins"]
    assert (logins["count"], logins["refused"]) == (3, {"login rate exceeded": 1})
    assert logins["times"] == sorted(logins["times"])


async def test_the_instance_moves_and_tokens_change(services: Services, client: ClientSession) -> None:
    """A login tells the instance it was told to, and opens another session when asked to."""
    _, first = await log_in(client, services, PASSWORD)
    services.salesforce.behaviour.instance_url = "https://moved.example/"
    services.salesforce.behaviour.new_token = True
    _, second = await log_in(client, services, PASSWORD)
    assert second["instance_url"] == "https://moved.example"
    assert second["id"].startswith("https://moved.example/id/")
    differs = first["access_token"] != second["access_token"]
    assert differs


async def test_credentials_are_reported_hashed(services: Services, client: ClientSession) -> None:
    """The report names each distinct credential by its hash, and never in clear."""
    _, answer = await log_in(client, services, PASSWORD)
    report = services.salesforce.report(60)
    assert report["credentials"] == {
        "access_token": [fingerprint(answer["access_token"])],
        "client_secret": [fingerprint(SALESFORCE.client_secret)],
        "password": [fingerprint(SALESFORCE.password)],
    }
    shown = "hush-" in str(report)
    assert not shown


async def test_the_identity_belongs_to_a_session(services: Services, client: ClientSession) -> None:
    """The identity URL tells who has logged in, by header or query, and refuses an unknown token."""
    _, answer = await log_in(client, services, PASSWORD)
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    async with client.get(answer["id"], headers=headers) as response:
        assert (await response.json())["username"] == SALESFORCE.username
    async with client.get(answer["id"], params={"oauth_token": "hush-unknown"}) as response:
        assert (response.status, await response.text()) == (403, "Bad_OAuth_Token")


async def test_a_revoked_token_is_good_no_longer(services: Services, client: ClientSession) -> None:
    """Revoking ends the session."""
    _, answer = await log_in(client, services, PASSWORD)
    url = f"{services.addresses['salesforce']}/services/oauth2/revoke"
    async with client.post(url, data={"token": answer["access_token"]}) as response:
        assert response.status == 200
    assert not services.salesforce.sessions.good(answer["access_token"])


SOAP_LOGIN = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    '<n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>{}</n1:username><n1:password>{}</n1:password>'
    "</n1:login></e:Body></e:Envelope>"
)


async def test_a_soap_login_tells_where_to_go_on(services: Services, client: ClientSession) -> None:
    """It answers a session and a server, or a LoginFault in both places where clients look for it."""
    url = f"{services.addresses['salesforce']}/services/Soap/u/62.0"
    good = SOAP_LOGIN.format(SALESFORCE.username, SALESFORCE.password + SALESFORCE.security_token)
    async with client.post(url, data=good) as response:
        text = await response.text()
        assert response.status == 200
        assert f"<serverUrl>{url}/{SALESFORCE.organization_id}</serverUrl>" in text
        assert f"<sessionId>{SALESFORCE.organization_id}!" in text
    async with client.post(url, data=SOAP_LOGIN.format(SALESFORCE.username, "hush-wrong")) as response:
        text = await response.text()
        assert response.status == 500
        assert "<faultcode>sf:INVALID_LOGIN</faultcode>" in text
        assert "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>" in text
