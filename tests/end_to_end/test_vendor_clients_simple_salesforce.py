"""simple-salesforce, unmodified, through the gateway, over the TLS of the gateway's listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import requests
from simple_salesforce import Salesforce

from gateway.demo.salesforce_key import private_pem
from tests.demo import simple_salesforce_client as login
from tests.demo.simple_salesforce_calls import CALLS, names
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.salesforce_org import metrics, organisation, policy, tells_no_secret
from tests.support.process import GatewayProcess
from tests.support.tls import Authority

LOGINS: tuple[tuple[str, Callable[[requests.Session], Salesforce]], ...] = (
    ("soap", login.with_security_token),
    ("password", login.with_password),
    ("client_credentials", login.with_client_credentials),
    ("jwt_bearer", lambda http: login.with_key(http, private_pem())),
)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A listener's certificate, which `requests` trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    files = {"cert_file": str(tmp_path / "tls.crt"), "key_file": str(tmp_path / "tls.key")}
    authority.files(tmp_path / "tls.crt", tmp_path / "tls.key", "127.0.0.1")
    return files


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """What a client sends with that has a session of its own, which is none."""
    with requests.Session() as session:
        yield session


def with_gateways_session(gateway: GatewayProcess, http: requests.Session) -> Salesforce:
    """Return a client that leaves the session to the gateway: only its address is another one."""
    here = gateway.addresses["salesforce"]
    return Salesforce(instance=here, session_id="hush-own-token", version=login.VERSION, session=http)


async def test_with_the_gateways_session(
    start_gateway: StartGateway, client: aiohttp.ClientSession, tls: dict[str, str], http: requests.Session
) -> None:
    """Each API works with a session that the gateway holds, of which the client knows nothing."""
    async with organisation(bulk_page_records=5) as org:
        gateway = await start_gateway({"salesforce": policy(org, tls=tls)}, log={"level": "debug"})
        connected = with_gateways_session(gateway, http)
        for call in CALLS:
            await asyncio.to_thread(call, connected)
        assert org.salesforce.report(60)["logins"]["count"] == 1
        assert await tells_no_secret(client, gateway)


@pytest.mark.parametrize("probability", [0.3, 1.0])
async def test_sessions_that_end_at_random(
    start_gateway: StartGateway,
    client: aiohttp.ClientSession,
    tls: dict[str, str],
    http: requests.Session,
    probability: float,
) -> None:
    """However often the session ends, be it after each call, no call of any API fails, and each end costs one login."""
    async with organisation(bulk_page_records=5, expire_probability=probability, expire_spares=1) as org:
        gateway = await start_gateway({"salesforce": policy(org, tls=tls)}, log={"level": "debug"})
        connected = with_gateways_session(gateway, http)
        for call in CALLS * 2:
            await asyncio.to_thread(call, connected)
        report = org.salesforce.report(60)
        ends = sum(report["expired_answers"].values())
        assert set(report["expired_answers"]) == {"rest", "bulk1_json", "bulk2", "soap"}
        assert report["logins"]["count"] == 1 + ends
        assert (await metrics(client, gateway))["gateway_salesforce_session_expired_total"] == ends
        assert await tells_no_secret(client, gateway)


async def test_many_at_once(start_gateway: StartGateway, client: aiohttp.ClientSession, tls: dict[str, str]) -> None:
    """Ten clients at once on one session that ends at random: no call fails, and nobody logs in more than once for an
    end."""

    def talk(gateway: GatewayProcess) -> None:
        with requests.Session() as http:
            connected = with_gateways_session(gateway, http)
            for _ in range(10):
                assert len(names(connected)) == 12

    async with organisation(bulk_page_records=5, expire_probability=0.03, expire_spares=1, latency=0.005) as org:
        gateway = await start_gateway({"salesforce": policy(org, tls=tls)})
        await asyncio.gather(*(asyncio.to_thread(talk, gateway) for _ in range(10)))
        seen = await metrics(client, gateway)
        ends = seen["gateway_salesforce_session_expired_total"]
        assert org.salesforce.report(60)["logins"]["count"] == 1 + ends >= 3
        assert await tells_no_secret(client, gateway)


@pytest.mark.parametrize(("grant", "log_in"), LOGINS[:2])
async def test_with_a_session_of_its_own(
    start_gateway: StartGateway,
    client: aiohttp.ClientSession,
    tls: dict[str, str],
    grant: str,
    log_in: Callable[[requests.Session], Salesforce],
) -> None:
    """In pass-through it logs in through the gateway, by SOAP or OAuth, and stays there for each API."""
    async with organisation(bulk_page_records=5) as org:
        gateway = await start_gateway({"salesforce": policy(org, auth=None, tls=tls)}, log={"level": "debug"})
        here = gateway.addresses["salesforce"]

        def talk() -> None:
            with login.session(f"https://{here}") as http:
                connected = log_in(http)
                assert connected.sf_instance == here
                for call in CALLS:
                    call(connected)

        await asyncio.to_thread(talk)
        report = org.salesforce.report(60)
        assert report["logins"]["by_grant"] == {grant: 1}
        answered = [value for name, value in (await metrics(client, gateway)).items() if _of_salesforce(name)]
        assert sum(answered) == report["calls"]
        assert await tells_no_secret(client, gateway)


def _of_salesforce(sample: str) -> bool:
    return sample.startswith("gateway_upstream_responses_total{") and 'upstream="salesforce"' in sample


@pytest.mark.parametrize("changes", [{"auth": None}, {}], ids=["pass_through", "held"])
async def test_every_login(
    start_gateway: StartGateway, client: aiohttp.ClientSession, tls: dict[str, str], changes: dict[str, None]
) -> None:
    """Whichever way it logs in, it stays at the gateway, also at one that has a session; when its own has ended, it
    logs in again, or need not."""
    async with organisation() as org:
        gateway = await start_gateway({"salesforce": policy(org, tls=tls, **changes)}, log={"level": "debug"})

        def talk(log_in: Callable[[requests.Session], Salesforce]) -> None:
            with login.session(f"https://{gateway.addresses['salesforce']}") as http:
                connected = log_in(http)
                assert len(names(connected)) == 12
                org.salesforce.sessions.end_all()
                assert len(names(connected)) == 12

        for _, log_in in LOGINS:
            await asyncio.to_thread(talk, log_in)
        assert org.salesforce.report(60)["expired_answers"] == {"rest": 4}
        assert await tells_no_secret(client, gateway)
