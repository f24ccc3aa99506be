"""A day of mixed traffic on two gateways' own roads against the simulated Salesforce, in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable

import pytest

from gateway import vendor_frames
from gateway.config.policy import Policy
from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce import Salesforce
from gateway.demo.salesforce_key import private_pem
from gateway.egress import egress
from gateway.events import Event
from gateway.exchange import Buffered, Exchange, Headers, Reply, read_all
from gateway.observability.metrics import Metrics
from gateway.retry.buffer_layer import Room
from gateway.salesforce.events import LoginFinished, SessionExpired
from gateway.throttle.layer import ThrottleLayer
from tests.end_to_end.test_salesforce import ENVELOPE
from tests.support import leaks
from tests.support.in_process import InProcess
from tests.support.virtual import LoopClock, virtual

DAY = 86_400.0
TTL, BUFFER = 720.0, 60.0
HOST = "http://127.0.0.1"
OWN = [(b"Authorization", b"Bearer hush-own")]
CALLS: tuple[Callable[[], Exchange], ...] = (
    lambda: Exchange("GET", b"/services/data/v62.0/query?q=SELECT+Id+FROM+Contact", [*OWN]),
    lambda: Exchange("PATCH", b"/services/data/v62.0/sobjects/Contact/003000000000001", [*OWN], Buffered(b"{}")),
    lambda: Exchange("POST", b"/services/data/v62.0/jobs/query", [*OWN], Buffered(JOB_2)),
    lambda: Exchange("POST", b"/services/Soap/u/62.0", [(b"SOAPAction", b'""')], Buffered(ENVELOPE.encode())),
    lambda: Exchange("GET", b"/id/00Dsim000000001/005sim000000001?oauth_token=hush-own", []),
    lambda: Exchange("POST", b"/services/async/62.0/job", [(b"X-SFDC-Session", b"hush-own")], Buffered(JOB)),
)
JOB_2 = b'{"operation":"query","query":"SELECT Id FROM Contact"}'
JOB = (
    b'<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><operation>query</operation>'
    b"<object>Contact</object><contentType>CSV</contentType></jobInfo>"
)


class Replica:
    """One gateway's road to the simulator, without sockets.

    Attributes:
        events: what it reported.
        unknown: calls of the identity URL whose session had ended, which the simulator does not count.
    """

    def __init__(self, server: InProcess, policy: Policy) -> None:
        self.events: list[Event] = []
        self.unknown = 0
        clock = LoopClock()
        limits = ThrottleLayer(policy, lane_of=lambda _: "default", clock=clock)
        self.frames = vendor_frames.vendor_frames(
            policy, pause=lambda *_: pytest.fail("paused"), emit=self.events.append, clock=clock
        )

        async def vendor(exchange: Exchange) -> Reply:
            if exchange.before_send is not None:
                await exchange.before_send()
            body = await read_all(exchange.body, 2**20)
            answer = await server.call(exchange.method, exchange.target.decode(), _fields(exchange.headers), body)
            self.unknown += answer.status == 403
            headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
            return Reply(answer.status, headers, Buffered(answer.body))

        self.handle = egress(policy, limits, self.frames, vendor, Room(), Metrics(), clock=clock)
        self.tasks = [asyncio.create_task(run()) for run in (limits.throttle.run, *self.frames.run)]

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def _fields(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def _policy() -> Policy:
    auth = {
        "type": "salesforce_jwt", "token_url": f"{HOST}/services/oauth2/token",
        "client_id": SALESFORCE.client_id, "username": SALESFORCE.username, "private_key": private_pem(),
        "ttl": f"{TTL}s", "refresh_buffer": f"{BUFFER}s",
    }  # fmt: skip
    lanes = [{"name": "default", "concurrency": 15, "timeout": "30s"}]
    data = {
        "upstream": "salesforce", "listen": "127.0.0.1:0", "base_url": HOST, "rate": {"cap": 600}, "lanes": lanes,
        "retry": {"max_attempts": 2}, "breaker": {"failures": 3}, "daily": {}, "auth": auth,
    }  # fmt: skip
    return Policy.model_validate(data)


@virtual
async def test_a_day_of_mixed_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 24 hours of calls of every API on two gateways, whose session an administrator or the vendor ends at any
    moment, no call fails, and no gateway logs in more than once a renewal period and once an end."""
    clock = LoopClock()
    org = Salesforce(clock=clock, seed=5, expire_probability=0.01, expire_spares=1, new_token=True)
    server = InProcess(org.application(), HOST.partition("://")[2])

    class Post:
        """The way to the token endpoint, without a socket."""

        async def __call__(self, url: str, headers: Headers, content: bytes) -> tuple[int, bytes]:
            answer = await server.call("POST", "/services/oauth2/token", _fields(headers), content)
            return answer.status, answer.body

        async def aclose(self) -> None:
            return None

    monkeypatch.setattr(vendor_frames, "Poster", Post)
    replicas = [Replica(server, _policy()) for _ in range(2)]
    chance = random.Random(11)
    statuses: Counter[int] = Counter()
    began = asyncio.get_running_loop().time()

    def elapsed() -> float:
        return asyncio.get_running_loop().time() - began

    async def client(replica: Replica) -> None:
        while elapsed() < DAY:
            reply = await replica.handle(chance.choice(CALLS)())
            statuses[reply.status] += 1
            await reply.body.aclose()
            await asyncio.sleep(chance.expovariate(1 / 120))

    async def administrator() -> None:
        while True:
            await asyncio.sleep(chance.expovariate(1 / 1800))
            org.sessions.end_all()

    ending = asyncio.create_task(administrator())
    await asyncio.gather(*(client(replica) for replica in replicas for _ in range(5)))
    for task in (ending, *(task for replica in replicas for task in replica.tasks)):
        task.cancel()
    time = elapsed()
    report = org.report(60)
    assert set(statuses) == {200, 201, 204}
    assert set(report["expired_answers"]) == {"rest", "bulk2", "bulk1_xml", "soap"}
    for replica in replicas:
        logins, expiries = replica.count(LoginFinished), replica.count(SessionExpired)
        assert expiries > 20
        assert logins <= math.ceil(time / (TTL - BUFFER)) + expiries
        assert leaks.SECRET.search(repr(replica.events)) is None
    refused = sum(report["expired_answers"].values()) + sum(replica.unknown for replica in replicas)
    assert refused >= sum(replica.count(SessionExpired) for replica in replicas)
    assert report["logins"]["count"] == sum(replica.count(LoginFinished) for replica in replicas)
