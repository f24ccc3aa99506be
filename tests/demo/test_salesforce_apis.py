"""How each of the simulated Salesforce's APIs refuses: sessions that ended, limits and faults."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.demo.behaviour import SalesforceFault
from gateway.demo.services import Services
from tests.demo.salesforce_client import PASSWORD, log_in

REST, BULK2 = "/services/data/v62.0/limits", "/services/data/v62.0/jobs/query/x"
BULK1, SOAP = "/services/async/62.0/job/x", "/services/Soap/u/62.0"
ENVELOPE = (
    "<e:Envelope><e:Header><ns0:SessionHeader><ns0:sessionId>{}</ns0:sessionId></ns0:SessionHeader></e:Header>"
    "<e:Body><n:getUserInfo/></e:Body></e:Envelope>"
)


async def call(client: ClientSession, services: Services, path: str, token: str, **headers: str) -> tuple[int, str]:
    """Make a call to an API with its own way to carry the session; returns status and text."""
    carried = {"Authorization": f"Bearer {token}", "X-SFDC-Session": token, **headers}
    method, body = ("POST", ENVELOPE.format(token)) if "Soap" in path else ("GET", None)
    async with client.request(method, services.addresses["salesforce"] + path, data=body, headers=carried) as response:
        return response.status, await response.text()


@pytest.fixture
async def token(services: Services, client: ClientSession) -> str:
    """A good session's token."""
    return str((await log_in(client, services, PASSWORD))[1]["access_token"])


@pytest.mark.parametrize(
    ("path", "content_type", "status", "text", "form"),
    [
        (REST, "", 401, '[{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]', "rest"),
        (BULK2, "", 401, '"errorCode": "INVALID_SESSION_ID"', "bulk2"),
        (SOAP, "text/xml", 500, "<faultcode>sf:INVALID_SESSION_ID</faultcode>", "soap"),
        (
            BULK1,
            "application/xml",
            400,
            '<error xmlns="http://www.force.com/2009/06/asyncapi/dataload"><exceptionCode>InvalidSessionId<',
            "bulk1_xml",
        ),
        (BULK1, "application/json", 400, '"exceptionCode": "InvalidSessionId"', "bulk1_json"),
    ],
    ids=["rest", "bulk2", "soap", "bulk1_xml", "bulk1_json"],
)
async def test_an_ended_session_is_told_in_the_words_of_the_api(
    services: Services,
    client: ClientSession,
    token: str,
    path: str,
    content_type: str,
    status: int,
    text: str,
    form: str,
) -> None:
    """Each API has its own status and form, reported by name; the session is over for all of them."""
    headers = {"Content-Type": content_type} if content_type else {}
    assert (await call(client, services, path, token, **headers))[0] in (200, 400, 404)
    services.salesforce.sessions.end_all()
    told = await call(client, services, path, token, **headers)
    assert told[0] == status
    assert text in told[1]
    assert services.salesforce.report(60)["expired_answers"] == {form: 1}


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("unrecoverable", 401, "This session is not valid for use with the REST API"),
        ("daily", 403, "TotalRequests Limit exceeded."),
        ("concurrent", 403, "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        ("concurrent_long", 403, "ConcurrentPerOrgLongTxn Limit exceeded"),
        ("server_error", 500, "UNKNOWN_EXCEPTION"),
        ("unavailable", 503, "SERVER_UNAVAILABLE"),
    ],
)
async def test_a_fault_is_met_as_often_as_it_was_told_to(
    services: Services, client: ClientSession, token: str, fault: SalesforceFault, status: int, text: str
) -> None:
    """A fault for one call has Salesforce's status and text, leaves the session alone, and is over then."""
    services.salesforce.behaviour.fault, services.salesforce.behaviour.fault_times = fault, 1
    told = await call(client, services, REST, token)
    assert (told[0], text in told[1]) == (status, True)
    assert (await call(client, services, REST, token))[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [(SOAP, 500, "sf:REQUEST_LIMIT_EXCEEDED"), (BULK1, 400, "ExceededQuota"), (BULK2, 403, "REQUEST_LIMIT_EXCEEDED")],
)
async def test_the_daily_limit_stops_every_api(
    services: Services, client: ClientSession, token: str, path: str, status: int, text: str
) -> None:
    """Once it is used up every API refuses, each in its form, and the usage is told in REST's header."""
    services.salesforce.behaviour.daily_limit = 1
    assert (await call(client, services, REST, token))[0] == 200
    told = await call(client, services, path, token)
    assert (told[0], text in told[1]) == (status, True)
    assert services.salesforce.report(60)["daily_calls"] == 1


async def test_the_usage_header_tells_of_the_app_too(services: Services, client: ClientSession, token: str) -> None:
    """With a limit of its own the connected app is named in the second part."""
    services.salesforce.behaviour.app_limit = 250
    url, headers = services.addresses["salesforce"] + REST, {"Authorization": f"Bearer {token}"}
    async with client.get(url, headers=headers) as response:
        told = response.headers["Sforce-Limit-Info"]
    assert told == "api-usage=1/100000; per-app-api-usage=1/250(appName=demo-client)"


async def test_long_calls_are_limited_and_short_ones_are_not(
    services: Services, client: ClientSession, token: str
) -> None:
    """A call counts once it has lasted long enough; when as many as allowed do, the next call is refused."""
    behaviour = services.salesforce.behaviour
    behaviour.latency, behaviour.long_call_seconds, behaviour.long_call_limit = 60, 0, 3

    def long_calls() -> dict[str, int]:
        found: dict[str, int] = services.salesforce.report(60)["long_calls"]
        return found

    async with asyncio.TaskGroup() as group:
        waiting: list[asyncio.Task[Any]] = []
        for number in range(1, 4):
            waiting.append(group.create_task(call(client, services, REST, token)))
            while long_calls()["in_flight"] != number:
                await asyncio.sleep(0.001)
        assert await call(client, services, REST, token) == (
            403,
            '[{"message": "ConcurrentPerOrgLongTxn Limit exceeded", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]',
        )
        assert long_calls() == {"in_flight": 3, "in_flight_peak": 3, "refused": 1}
        behaviour.long_call_seconds = 3600
        assert long_calls()["in_flight"] == 0
        for one in waiting:
            one.cancel()


async def test_some_calls_are_slow(services: Services, client: ClientSession, token: str) -> None:
    """With a probability of one every call takes the slow time instead of its usual one."""
    behaviour = services.salesforce.behaviour
    behaviour.latency, behaviour.slow_probability, behaviour.slow_seconds = 3600, 1.0, 0.01
    assert (await call(client, services, REST, token))[0] == 200


async def test_sessions_end_at_random_the_same_way_after_a_reset(
    services: Services, client: ClientSession, token: str
) -> None:
    """With a probability a call ends its session; after a reset chance repeats itself."""
    services.salesforce.behaviour.expire_probability = 0.3

    async def statuses() -> list[int]:
        services.salesforce.reset()
        found = []
        for _ in range(20):
            good = str((await log_in(client, services, PASSWORD))[1]["access_token"])
            found.append((await call(client, services, REST, good))[0])
        return found

    first = await statuses()
    assert first == await statuses()
    assert 1 <= first.count(401) <= 15
    assert services.salesforce.report(60)["expired_answers"] == {"rest": first.count(401)}


async def test_a_fault_can_end_the_session_of_the_next_call(
    services: Services, client: ClientSession, token: str
) -> None:
    """The session is over for good; a call that had none to lose leaves the fault for the next."""
    services.salesforce.behaviour.fault, services.salesforce.behaviour.fault_times = "expired", 1
    assert (await call(client, services, REST, "hush-unknown"))[0] == 401
    assert services.salesforce.behaviour.fault_times == 1
    assert (await call(client, services, REST, token))[0] == 401
    assert (await call(client, services, REST, token))[0] == 401
    fresh = str((await log_in(client, services, PASSWORD))[1]["access_token"])
    assert (await call(client, services, REST, fresh))[0] == 200


@pytest.mark.parametrize(
    ("api", "operation", "found"),
    [
        ("u", "<getServerTimestamp/>", "<timestamp>"),
        ("u", "<getUserInfo/>", "<userName>integration@example.com</userName>"),
        ("m", "<describeMetadata/>", "<xmlName>CustomObject</xmlName>"),
        ("m", "<createMetadata><metadata><fullName>New__c</fullName></metadata></createMetadata>", "<success>true"),
        ("m", "<describeGlobal/>", "No operation available"),
    ],
)
async def test_soap_calls_of_a_good_session(
    services: Services, client: ClientSession, token: str, api: str, operation: str, found: str
) -> None:
    """Each answers in its API's namespace; an unknown one is a fault of the client."""
    envelope = (
        f"<e:Envelope><e:Header><sessionId>{token}</sessionId></e:Header><e:Body>{operation}</e:Body></e:Envelope>"
    )
    url = f"{services.addresses['salesforce']}/services/Soap/{api}/62.0"
    async with client.post(url, data=envelope) as response:
        assert found in await response.text()


async def test_logging_out_ends_the_session(services: Services, client: ClientSession, token: str) -> None:
    """By the partner API's `logout`."""
    envelope = f"<e:Envelope><e:Header><sessionId>{token}</sessionId></e:Header><e:Body><logout/></e:Body></e:Envelope>"
    async with client.post(services.addresses["salesforce"] + SOAP, data=envelope) as response:
        assert response.status == 200
    assert not services.salesforce.sessions.good(token)
