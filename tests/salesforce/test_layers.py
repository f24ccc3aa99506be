"""The session on the road of a call, in virtual time."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from gateway.errors import GatewayError
from gateway.events import Event
from gateway.exchange import Body, Buffered, Exchange, Handler, Reply, header
from gateway.salesforce.events import SessionExpired
from gateway.throttle.layer import ThrottleLayer
from gateway.throttle.settings import PolicySettings
from tests.salesforce.samples import ORIGIN, TIMEOUT, Endpoint, Org, keeper, query, road, status
from tests.salesforce.test_expiry import NOT_FOR_REST, SOAP
from tests.salesforce.test_keeper import running
from tests.salesforce.test_rewrite import ENVELOPE, LOGIN
from tests.support.virtual import LoopClock, virtual
from tests.throttle.samples import Stream


def throttle(concurrency: int = 15, cap: int = 10_000) -> ThrottleLayer:
    policy = PolicySettings.model_validate(
        {
            "upstream": "salesforce",
            "listen": "127.0.0.1:0",
            "rate": {"cap": cap},
            "lanes": [{"name": "default", "concurrency": concurrency, "timeout": "30s"}],
        }
    )
    return ThrottleLayer(policy, lane_of=lambda _: "default", clock=LoopClock())


@virtual
async def test_the_clients_credentials_are_replaced() -> None:
    """A call goes to the session's instance with the session's token, whatever the client sent."""
    endpoint = Endpoint()
    org = Org(endpoint)
    async with running(keeper(endpoint)) as kept:
        assert await status(road(kept, org), query()) == 200
    assert org.calls == [(ORIGIN, "hush-session-1")]


@virtual
async def test_fifty_calls_on_an_expired_session_make_one_login() -> None:
    """Fifty calls at once find the session ended: one login, each is made once more, and none fails."""
    events: list[Event] = []
    endpoint = Endpoint()
    org = Org(endpoint)
    async with running(keeper(endpoint, events)) as kept:
        handler = road(kept, org, throttle(concurrency=50))
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        answers = await asyncio.gather(*(status(handler, query()) for _ in range(50)))
    assert set(answers) == {200}
    assert len(endpoint.logins) == 2
    assert org.refused == 50
    assert sum(isinstance(event, SessionExpired) for event in events) == 1


@virtual
async def test_frames_between_hear_of_no_answer() -> None:
    """What stands between the two frames (a breaker, the permit) is told of an ended session as of no answer at all."""
    heard: list[int] = []

    class Between:
        async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
            reply = await forward(exchange)
            heard.append(reply.status)
            return reply

    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, Org(endpoint), Between())
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        assert await status(handler, query()) == 200
    assert heard == [200, 200]


@virtual
async def test_late_answers_begin_no_login() -> None:
    """A call that is told of the old session's end after the new one is there just goes again."""
    endpoint = Endpoint(latency=0.1)
    org = Org(endpoint)
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        org.latency = 5.0
        slow = asyncio.create_task(status(handler, query()))
        await asyncio.sleep(1)
        org.latency = 0.05
        assert await status(handler, query()) == 200
        assert await slow == 200
    assert len(endpoint.logins) == 2


@virtual
async def test_who_waits_for_a_login_holds_no_permit() -> None:
    """While a login hangs, calls wait outside the throttle: no permit and no slot is taken."""
    endpoint = Endpoint(latency=20)
    limits = throttle(concurrency=2)
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, Org(endpoint), limits)
        calls = [asyncio.create_task(status(handler, query())) for _ in range(10)]
        await asyncio.sleep(10)
        lane = limits.throttle.snapshot().lanes[0]
        assert (lane.depth, lane.in_flight) == (0, 0)
        assert set(await asyncio.gather(*calls)) == {200}


@virtual
async def test_a_session_that_ends_while_calls_queue() -> None:
    """A call whose turn comes when the session has just ended gives its permit back and waits outside."""
    endpoint = Endpoint(latency=1)
    org = Org(endpoint, latency=1)
    limits = throttle(concurrency=1)
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org, limits)
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        assert set(await asyncio.gather(*(status(handler, query()) for _ in range(5)))) == {200}
    assert org.refused == 1
    assert len(endpoint.logins) == 2


@virtual
async def test_every_call_fails_when_the_login_hangs() -> None:
    """When the session has ended and the login hangs, every call fails at the same moment, at `timeout`, none later."""
    endpoint = Endpoint()
    org = Org(endpoint)
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org, throttle(concurrency=50))
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        endpoint.latency = 10_000

        async def fails(after: float) -> float:
            await asyncio.sleep(after)
            with pytest.raises(GatewayError) as error:
                await handler(query())
            assert (error.value.code, error.value.status) == ("auth-timeout", 504)
            return round(asyncio.get_running_loop().time(), 6)

        ends = await asyncio.gather(*(fails(n * 0.5) for n in range(50)))
        assert set(ends) == {round(endpoint.logins[-1] + TIMEOUT, 6)}
        assert len(endpoint.logins) == 2
        endpoint.latency = 0.2
        await asyncio.sleep(5)
        assert await status(handler, query()) == 200


@virtual
async def test_a_stream_is_not_sent_again() -> None:
    """A content that cannot be replayed is not: the vendor's answer is passed on, and the next call works."""
    endpoint = Endpoint()
    org = Org(endpoint)
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        upload = query()
        upload.body = Stream((0.0, b"x"))
        assert await status(handler, upload) == 401
        assert await status(handler, query()) == 200
    assert len(endpoint.logins) == 2


@virtual
async def test_a_user_without_the_right_to_rest() -> None:
    """The 401 that no login mends is passed on unchanged, and there is no login."""
    endpoint = Endpoint()

    async def org(_: Exchange) -> Reply:
        return Reply(401, [(b"X", b"y")], Stream((0.0, NOT_FOR_REST[:10]), (0.0, NOT_FOR_REST[10:])))

    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        for _ in range(5):
            reply = await handler(query())
            assert (reply.status, reply.headers) == (401, [(b"X", b"y")])
            assert b"".join([piece async for piece in reply.body]) == NOT_FOR_REST
    assert len(endpoint.logins) == 1


@virtual
async def test_sessions_that_are_refused_at_once_make_no_storm() -> None:
    """When every new session is refused, each call is made at most twice, and logins come ever more rarely."""
    endpoint = Endpoint()
    org = Org(endpoint)
    endpoint.good = set()

    async def refuses(exchange: Exchange) -> Reply:
        endpoint.good.clear()
        return await org(exchange)

    async with running(keeper(endpoint)) as kept:
        handler = road(kept, refuses)
        for _ in range(600):
            try:
                await status(handler, query())
            except GatewayError as error:
                assert error.code == "auth-failed"  # noqa: PT017
            await asyncio.sleep(1)
    assert len(endpoint.logins) < 20


@virtual
async def test_soap_carries_the_session_in_its_body() -> None:
    """The envelope's sessionId is the gateway's, at each attempt anew, and the length fits; a login is left alone."""
    endpoint = Endpoint()
    seen: list[bytes] = []

    async def org(exchange: Exchange) -> Reply:
        content = b"".join([piece async for piece in exchange.body])
        assert exchange.body.length == len(content)
        assert header(exchange.headers, b"authorization") is None
        seen.append(content)
        if b"hush-session-1" in content:
            return Reply(500, [], Buffered(SOAP))
        return Reply(200, [], Buffered(b"<ok/>"))

    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        for envelope in (ENVELOPE, LOGIN):
            body: Body = Buffered(envelope)
            call = Exchange("POST", b"/services/Soap/m/62.0", [(b"Authorization", b"x")], body)
            assert await status(handler, call) == 200
    own = b"hush-own"
    assert seen == [ENVELOPE.replace(own, b"hush-session-1"), ENVELOPE.replace(own, b"hush-session-2"), LOGIN]


@virtual
async def test_a_compressed_envelope_is_unpacked() -> None:
    """An envelope that came compressed carries the gateway's session, uncompressed; one that cannot be read passes."""
    endpoint = Endpoint()
    seen: list[tuple[bytes | None, bytes]] = []

    async def org(exchange: Exchange) -> Reply:
        content = b"".join([piece async for piece in exchange.body])
        seen.append((header(exchange.headers, b"content-encoding"), content))
        return Reply(500, [], Buffered(SOAP)) if b"hush-session-1" in content else Reply(200)

    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        for body in (Buffered(gzip.compress(ENVELOPE)), Buffered(b"none"), Stream((0.0, b"none"))):
            call = Exchange("POST", b"/services/Soap/m/62.0", [(b"Content-Encoding", b"gzip")], body)
            assert await status(handler, call) == 200
    changed = [ENVELOPE.replace(b"hush-own", b"hush-session-%d" % number) for number in (1, 2)]
    assert seen == [(None, changed[0]), (None, changed[1]), (b"gzip", b"none"), (b"gzip", b"none")]


@virtual
async def test_who_the_user_is() -> None:
    """The identity URL's own words for an ended session are understood, and the client's token is not in its query."""
    endpoint = Endpoint()
    targets: list[bytes] = []

    async def org(exchange: Exchange) -> Reply:
        targets.append(exchange.target)
        good = header(exchange.headers, b"authorization") != b"Bearer hush-session-1"
        return Reply(200) if good else Reply(403, [], Buffered(b"Bad_OAuth_Token"))

    async with running(keeper(endpoint)) as kept:
        assert await status(road(kept, org), query(target=b"/id/00D/005?oauth_token=hush-own&format=json")) == 200
    assert targets == [b"/id/00D/005?format=json"] * 2


@virtual
async def test_two_ends_in_a_row() -> None:
    """A call whose second session has ended, too, is made again if that one was good for others, else it is not; and
    never more than four times."""
    for good_for_others, attempts in ((True, 4), (False, 2)):
        endpoint = Endpoint()
        org = Org(endpoint)
        tried = 0

        async def unlucky(exchange: Exchange, org: Org = org, endpoint: Endpoint = endpoint) -> Reply:
            nonlocal tried
            if exchange.target == b"/unlucky":
                tried += 1
                if good_for_others:  # noqa: B023 (called within the round)
                    assert await status(handler, query()) == 200  # noqa: B023
                endpoint.good.clear()
            return await org(exchange)

        async with running(keeper(endpoint)) as kept:
            handler = road(kept, unlucky)
            assert await status(handler, query(target=b"/unlucky")) == 401
        assert tried == attempts


@virtual
async def test_a_long_envelope_is_not_held() -> None:
    """The session is put into an envelope of any size, of which only the beginning is read."""
    endpoint = Endpoint()
    seen: list[bytes] = []

    async def org(exchange: Exchange) -> Reply:
        seen.append(b"".join([piece async for piece in exchange.body]))
        return Reply(200)

    pieces = [ENVELOPE, *[b"z" * 65_536] * 20]
    async with running(keeper(endpoint)) as kept:
        body = Stream(*((0.0, piece) for piece in pieces))
        await status(road(kept, org), Exchange("POST", b"/services/Soap/m/62.0", [], body))
    assert seen == [b"".join(pieces).replace(b"hush-own", b"hush-session-1")]


@virtual
async def test_a_client_that_logs_in_by_itself_is_let_through() -> None:
    """A call of the token endpoint waits for no session and keeps its credentials."""
    endpoint = Endpoint(latency=10_000)
    org = Org(endpoint)
    async with running(keeper(endpoint)) as kept:
        own = query(target=b"/services/oauth2/token")
        assert await status(road(kept, org), own) == 200
    assert org.calls == [(None, "hush-own")]


def refusing_soap(endpoint: Endpoint) -> Handler:
    """Return an org whose REST API takes good sessions, and whose SOAP API takes none."""
    org = Org(endpoint)

    async def answer(exchange: Exchange) -> Reply:
        return Reply(500, [], Buffered(SOAP)) if exchange.method == "POST" else await org(exchange)

    return answer


def soap(envelope: bytes) -> Exchange:
    return Exchange("POST", b"/services/Soap/u/62.0", [(b"Content-Type", b"text/xml")], Buffered(envelope))


@virtual
@pytest.mark.parametrize(
    "envelope",
    [
        b"<e:Envelope><e:Body><getUserInfo/></e:Body></e:Envelope>",
        ENVELOPE.decode().encode("utf-16"),
    ],
)
async def test_a_call_without_a_place_for_the_session_ends_it_for_nobody(envelope: bytes) -> None:
    """Given envelopes that have no place for the session, when Salesforce refuses what the client sent, then its fault
    is passed on, and no session ends and no login is made for it."""
    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, refusing_soap(endpoint))
        for _ in range(10):
            assert await status(handler, soap(envelope)) == 500
            assert await status(handler, query()) == 200
    assert len(endpoint.logins) == 1


@virtual
async def test_an_api_that_takes_no_session_makes_no_login_storm() -> None:
    """Given SOAP that refuses every session while REST takes it, when both are called for a minute, then a few logins
    find that out, SOAP's fault is passed on, and no REST call fails."""
    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, refusing_soap(endpoint))
        for _ in range(60):
            assert await status(handler, soap(ENVELOPE)) == 500
            assert await status(handler, query()) == 200
            await asyncio.sleep(1.0)
    assert len(endpoint.logins) <= 4


@virtual
async def test_a_clients_logout_ends_its_own_session_only() -> None:
    """Given a client that logs out over SOAP, then it hears that it has, and Salesforce hears nothing of it."""
    endpoint = Endpoint()
    org = Org(endpoint)
    envelope = (
        b"<e:Envelope><e:Header><u:SessionHeader><u:sessionId>hush-own</u:sessionId></u:SessionHeader></e:Header>"
        b"<e:Body><u:logout/></e:Body></e:Envelope>"
    )
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        reply = await handler(soap(envelope))
        assert (reply.status, b"logoutResponse" in b"".join([chunk async for chunk in reply.body])) == (200, True)
        assert await status(handler, query()) == 200
    assert len(org.calls) == len(endpoint.logins) == 1


@virtual
async def test_a_call_that_is_made_again_goes_to_the_new_instance() -> None:
    """Given a session that ended and a login that names another instance, then the call goes there, with its token."""
    endpoint = Endpoint()
    org = Org(endpoint)
    async with running(keeper(endpoint)) as kept:
        handler = road(kept, org)
        assert await status(handler, query()) == 200
        endpoint.good.clear()
        endpoint.origin = "https://other.my.salesforce.com"
        assert await status(handler, query()) == 200
    assert org.calls[1:] == [(ORIGIN, "hush-session-1"), ("https://other.my.salesforce.com", "hush-session-2")]
