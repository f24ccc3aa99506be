"""jsforce, unmodified, through the gateway."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from gateway.demo.accounts import SALESFORCE
from tests.demo.jsforce_client import needs_jsforce, run
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.salesforce_org import metrics, organisation, policy, tells_no_secret

pytestmark = needs_jsforce

SEEN: dict[str, dict[str, Any]] = {
    "logins": {"names": [12, 12], "user": SALESFORCE.username, "limit": 100_000},
    "records": {"upserted": True, "read": "B One", "found": 1, "many": [True, False], "gone": "NOT_FOUND"},
    "bulk": {"made": [True, False], "rows": ["A One"], "deleted": True},
    "bulk2": {"made": 2, "failed": 0, "left": 0, "rows": 14},
    "metadata": {"described": ["CustomObject", "Layout"], "read": ["Contact"], "user": SALESFORCE.username},
    "expiry": {"rest": 12, "bulk": 12, "bulk2": 12, "soap": 2},
}
"""What each exercise sees at Salesforce itself, besides addresses and long lists."""
LOGINS = {"logins": 2, "expiry": 5}
"""How often the client logs in by itself, where that is not once."""


def _differs(seen: dict[str, Any], exercise: str) -> dict[str, Any]:
    return {key: value for key, value in seen.items() if key in SEEN[exercise] and value != SEEN[exercise][key]}


@pytest.mark.parametrize("exercise", SEEN)
async def test_with_a_session_of_its_own(
    start_gateway: StartGateway, client: aiohttp.ClientSession, exercise: str
) -> None:
    """In pass-through it logs in through the gateway, stays there, and recovers from the end of its own session."""
    async with organisation() as org:
        gateway = await start_gateway({"salesforce": policy(org, auth=None)}, log={"level": "debug"})
        here = gateway.url("salesforce")
        seen = await run(exercise, here)
        assert _differs(seen, exercise) == {}
        assert set(seen.get("instance", [here])) == {here}
        assert org.salesforce.report(60)["logins"]["count"] == LOGINS.get(exercise, 1)
        assert await tells_no_secret(client, gateway)


@pytest.mark.parametrize("exercise", SEEN)
async def test_with_the_gateways_session(
    start_gateway: StartGateway, client: aiohttp.ClientSession, exercise: str
) -> None:
    """It logs in as it always does, and its calls then take the gateway's session: of ends it notices nothing."""
    async with organisation() as org:
        gateway = await start_gateway({"salesforce": policy(org)}, log={"level": "debug"})
        assert _differs(await run(exercise, gateway.url("salesforce")), exercise) == {}
        report = org.salesforce.report(60)
        ends = sum(report["expired_answers"].values())
        assert (await metrics(client, gateway))["gateway_salesforce_session_expired_total"] == ends
        assert ends == (4 if exercise == "expiry" else 0)
        assert await tells_no_secret(client, gateway)


@pytest.mark.parametrize("exercise", [name for name in SEEN if name != "expiry"])
@pytest.mark.parametrize("probability", [0.3, 1.0])
async def test_sessions_that_end_at_random(
    start_gateway: StartGateway, client: aiohttp.ClientSession, exercise: str, probability: float
) -> None:
    """However often the session ends, be it after each call, no call of any API fails or hangs; an upload that meets a
    401, for which the client would wait for ever, is sent again from memory."""
    async with organisation(expire_probability=probability, expire_spares=1) as org:
        gateway = await start_gateway({"salesforce": policy(org)}, log={"level": "debug"})
        assert _differs(await run(exercise, gateway.url("salesforce")), exercise) == {}
        seen = await metrics(client, gateway)
        ends = seen["gateway_salesforce_session_expired_total"]
        assert int(probability) <= ends <= sum(org.salesforce.report(60)["expired_answers"].values())
        assert seen.get('gateway_salesforce_auth_total{reason="expired",result="ok"}', 0.0) == ends
        assert await tells_no_secret(client, gateway)
