"""The simulated Salesforce over a day of virtual time, as a judge of how often somebody logs in."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import jwt

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce import TOKEN_ENDPOINT, Salesforce
from gateway.demo.salesforce_key import private_pem
from tests.support.in_process import InProcess
from tests.support.virtual import LoopClock, virtual

HOUR = 3600.0


class Caller:
    """Logs in by the JWT bearer flow when its session has ended, and not before."""

    def __init__(self, server: InProcess, clock: LoopClock) -> None:
        self._server = server
        self._clock = clock
        self._token = ""

    async def read(self) -> int:
        for _ in range(2):
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = await self._server.call("GET", "/services/data/v62.0/limits", headers)
            if answer.status != 401:
                return answer.status
            await self._log_in()
        return 401

    async def _log_in(self) -> None:
        claims = {
            "iss": SALESFORCE.client_id,
            "sub": SALESFORCE.username,
            "aud": "http://vendor.example",
            "exp": self._clock.wall() + 180,
        }
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(claims, private_pem(), "RS256"),
        }
        fields = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._server.call("POST", TOKEN_ENDPOINT, fields, urlencode(form).encode())
        self._token = json.loads(answer.body)["access_token"]


@virtual
async def test_sessions_last_as_long_in_virtual_time() -> None:
    """In 24 hours of sessions of two hours, a caller that asks every minute logs in twelve times."""
    clock = LoopClock()
    salesforce = Salesforce(clock=clock, session_seconds=2 * HOUR)
    caller = Caller(InProcess(salesforce.application()), clock)
    for _ in range(24 * 60):
        assert await caller.read() == 200
        await asyncio.sleep(59.9)
    report = salesforce.report(60)
    assert report["logins"]["count"] == 12
    assert report["logins"]["times"][1] - report["logins"]["times"][0] >= 2 * HOUR - 1
    assert report["expired_answers"] == {"rest": 12}
    assert report["daily_calls"] == 24 * 60
