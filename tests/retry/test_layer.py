"""Which calls are made again."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Body, Buffered, Exchange, Failure, Reply
from gateway.retry.budget import FLOOR
from gateway.retry.events import Retried
from gateway.retry.layer import RetryLayer, idempotent
from gateway.retry.settings import RetrySettings
from tests.retry.samples import Answer, Events, Hand, Pieces, Upstream, exchange


def layer(events: Events | None = None, may_go: Any = lambda exchange: True, **settings: Any) -> RetryLayer:
    return RetryLayer("crm", RetrySettings(**settings), may_go=may_go, emit=events or Events(), clock=Hand())


@pytest.mark.parametrize(
    ("step", "reason"), [(429, "429"), (503, "503"), ("unsent", "unreachable"), ("broken", "disconnect")]
)
async def test_an_idempotent_call_is_made_again(step: int | str, reason: str) -> None:
    """Given a GET, when the upstream is busy or its connection fails, then it is sent once more, which is reported."""
    events, upstream = Events(), Upstream(step)
    reply = await layer(events).handle(exchange(), upstream)
    assert reply.status == 200
    assert len(upstream.contents) == 2
    assert events.seen == [Retried("crm", reason)]


async def test_an_answer_that_is_given_up_is_closed() -> None:
    """The answer that nobody gets holds no permit and no connection any more when the next attempt begins."""
    upstream = Upstream(503)

    async def forward(sent: Exchange) -> Reply:
        assert all(body.closed == 1 for body in upstream.bodies)
        return await upstream(sent)

    reply = await layer().handle(exchange(), forward)
    assert [body.closed for body in upstream.bodies] == [1, 0]
    assert reply.body is upstream.bodies[1]


@pytest.mark.parametrize(
    ("pieces", "given"),
    [
        ((b"busy", b"!"), 2),
        ((b"x" * 65536, b"y", b"never read"), 2),
        ((b"busy", GatewayError("upstream-unreachable")), 1),
    ],
)
async def test_a_short_answer_is_read_to_its_end(pieces: tuple[bytes | Exception, ...], given: int) -> None:
    """An answer that is given up is read so that its connection can be used again, unless it is long; that it breaks
    off changes nothing."""
    answers = [Reply(503, body=Answer(*pieces)), Reply(200)]
    body = answers[0].body

    async def forward(sent: Exchange) -> Reply:
        return answers.pop(0)

    assert (await layer().handle(exchange(), forward)).status == 200
    assert isinstance(body, Answer)
    assert (body.given, body.closed) == (given, 1)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("step", [429, 503, "broken"])
async def test_case_24_a_post_that_was_sent_is_never_sent_again(method: str, step: int | str) -> None:
    """Given a method that is not idempotent, when it was written, then whatever comes of it is passed on."""
    events, upstream = Events(), Upstream(step)
    if isinstance(step, int):
        assert (await layer(events).handle(exchange(method), upstream)).status == step
    else:
        with pytest.raises(GatewayError, match="upstream-unreachable"):
            await layer(events).handle(exchange(method), upstream)
    assert len(upstream.contents) == 1
    assert events.seen == []


async def test_a_post_of_which_nothing_was_written_is_made_again() -> None:
    """A connection that failed before the first byte has done nothing, whatever the method."""
    upstream = Upstream("unsent")
    assert (await layer().handle(exchange("POST", Buffered(b"order")), upstream)).status == 200
    assert upstream.contents == [b"order", b"order"]


@pytest.mark.parametrize(
    "error",
    [
        GatewayError("upstream-timeout"),
        GatewayError("queue-full"),
        GatewayError("queue-timeout"),
        GatewayError("breaker-open"),
        GatewayError("shutting-down"),
        GatewayError("bad-request"),
        ValueError(),
    ],
)
async def test_what_would_not_be_better_the_next_time_is_passed_on(error: Exception) -> None:
    """A call that used up its time, was refused on the way or makes no sense is not made again."""
    upstream = Upstream(error)
    with pytest.raises(type(error)):
        await layer().handle(exchange(), upstream)
    assert len(upstream.contents) == 1


@pytest.mark.parametrize("status", [200, 404, 500, 502])
async def test_other_answers_are_passed_on(status: int) -> None:
    """Only the statuses of the policy are followed by another attempt."""
    upstream = Upstream(status)
    assert (await layer().handle(exchange(), upstream)).status == status
    assert len(upstream.contents) == 1


async def test_the_attempts_are_bounded() -> None:
    """The last attempt's outcome is the call's, answer or error."""
    upstream = Upstream(503, "broken", 503, 503)
    assert (await layer(max_attempts=3).handle(exchange(), upstream)).status == 503
    assert len(upstream.contents) == 3
    upstream = Upstream(503, "broken")
    with pytest.raises(GatewayError, match="upstream-unreachable"):
        await layer().handle(exchange(), upstream)


async def test_one_attempt_is_no_retry() -> None:
    """`max_attempts: 1` sends everything once."""
    upstream = Upstream(503)
    assert (await layer(max_attempts=1).handle(exchange(), upstream)).status == 503


@pytest.mark.parametrize("step", [503, "unsent", "broken"])
async def test_a_stream_is_never_sent_again(step: int | str) -> None:
    """A content that is not in memory as a whole goes once, also with an idempotent method."""
    body: Body = Pieces(b"a", b"b")
    upstream = Upstream(step)
    with suppress(GatewayError):
        await layer().handle(exchange("PUT", body), upstream)
    assert len(upstream.contents) == 1


async def test_retries_stay_within_the_budget() -> None:
    """Given an upstream that is down, when calls go on coming, then a tenth of them is made again, and no more."""
    events, upstream = Events(), Upstream(*[503] * 1000)
    through = layer(events)
    for _ in range(200):
        await through.handle(exchange(), upstream)
    assert FLOOR < len(events.of(Retried)) <= 20
    assert len(upstream.contents) == 200 + len(events.of(Retried))


async def test_a_call_that_would_not_be_let_through_gets_the_vendors_answer() -> None:
    """When the pause is longer than the deadline, or the breaker has opened, the answer at hand is the call's, and
    costs nothing of the budget."""
    events, upstream = Events(), Upstream(503, "broken", *[503] * 10)
    free = False
    through = layer(events, may_go=lambda exchange: free)
    reply = await through.handle(exchange(), upstream)
    assert (reply.status, upstream.bodies[0].closed) == (503, 0)
    with pytest.raises(GatewayError, match="upstream-unreachable"):
        await through.handle(exchange(), upstream)
    free = True
    for _ in range(FLOOR):
        await through.handle(exchange(), upstream)
    assert len(events.of(Retried)) == FLOOR


async def test_who_knows_the_vendor_may_say_what_is_idempotent() -> None:
    """A judgement of one's own takes the place of the method's."""
    upstream = Upstream(503)
    through = RetryLayer(
        "whmcs", RetrySettings(), may_retry=lambda exchange: True, may_go=lambda exchange: True, clock=Hand()
    )
    assert (await through.handle(exchange("POST", Buffered(b"action=GetClients")), upstream)).status == 200
    assert upstream.contents == [b"action=GetClients"] * 2


def test_idempotent_methods() -> None:
    """RFC 9110 section 9.2.2: the safe methods, PUT and DELETE; methods are case-sensitive."""
    methods = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "get", "LOCK")
    assert [idempotent(exchange(method)) for method in methods] == [True] * 6 + [False] * 4


@pytest.mark.parametrize(("failure", "attempts"), [("", 2), ("error", 2), ("refused", 1), ("unauthenticated", 1)])
async def test_a_refusal_is_final(failure: Failure, attempts: int) -> None:
    """An answer that says that this caller may not, or that its credentials are wrong, is passed on, whatever its
    status; another attempt could have the caller banned."""
    answers = [Reply(403, failure=failure), Reply(200)]

    async def forward(sent: Exchange) -> Reply:
        return answers.pop(0)

    await layer(statuses=(403,)).handle(exchange(), forward)
    assert len(answers) == 2 - attempts
