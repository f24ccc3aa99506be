"""Logins and logouts in `mode: guard`, and what passes by."""

from __future__ import annotations

import pytest

from gateway.exchange import Buffered, Exchange, Reply, header_values
from gateway.tokens.events import Audit, ExcessFamiliesCleaned, FamiliesAtLogin, NothingBrought
from tests.tokens.guard_support import Gate, Stage, faulty_stage, memory_store, running
from tests.tokens.support import SetClock


async def test_a_login_passes_and_begins_a_family() -> None:
    """The backend's answer is untouched; its user has one family more."""
    stage = Stage()
    direct = await stage.gate.layer.handle(_login("ann"), stage.backend.handle)
    assert [name for name, _ in direct.headers] == [b"Content-Type", b"X-Trace", b"x-trace"]
    assert direct.reason == b"Fine"
    assert [event.count for event in stage.gate.reported(FamiliesAtLogin)] == [1]
    ((name, family),) = stage.ledger.users["ann"].live().items()
    assert family.device == "192.0.2.0/24 test"
    (audit,) = stage.gate.reported(Audit)
    assert (audit.action, audit.outcome, audit.user, audit.family) == ("issue", "ok", "ann", name)
    token = next(iter(stage.backend.valid))
    assert audit.token == stage.gate.layer._desk.vault.fingerprint(token)


@pytest.mark.parametrize(
    "reply",
    [Reply(401, [], Buffered(b"no")), Reply(200, [(b"Content-Type", b"application/json")], Buffered(b'{"mfa":true}'))],
)
async def test_a_login_without_a_token_is_none(reply: Reply) -> None:
    """A failure, or a second factor that is still to come, begins nothing."""
    store, ledger = memory_store(SetClock())

    async def forward(exchange: Exchange) -> Reply:
        return reply

    gate = Gate(store, forward)
    assert await gate.layer.handle(_login("ann"), forward) is reply
    assert gate.events == []
    assert ledger.users == {}


async def test_the_eleventh_login_ends_the_oldest_family() -> None:
    """Cases 13 and 16: exactly ten; the evicted token is refused, and that is no theft."""
    stage = Stage()
    async with running(stage.gate):
        tokens = []
        for _ in range(11):
            tokens.append((await stage.gate.login()).token)
            stage.clock.advance(1)
        assert len(stage.ledger.users["42"].live()) == 10
        assert (await stage.gate.refresh(tokens[0])).code == "invalid-token"
        assert (await stage.gate.refresh(tokens[1])).status == 200
    assert len(stage.gate.reported(ExcessFamiliesCleaned)) == 1
    assert stage.gate.results() == ["ended", "rotated"]
    assert [event.outcome for event in stage.gate.reported(Audit) if event.action == "refresh"] == [
        "evicted",
        "rotated",
    ]
    assert stage.backend.refreshes == [tokens[1]]


async def test_a_token_that_is_given_again_by_a_login_counts_anew() -> None:
    """given a backend that keeps one token a device, when its user logs in after a logout, then it is good again."""
    stage = Stage()
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        await stage.gate.logout(token)
        stage.clock.advance(1)
        stage.backend.valid[token] = "42"
        stage.backend.mint = lambda user: token  # type: ignore[method-assign]
        assert (await stage.gate.login()).token == token
        assert (await stage.gate.refresh(token)).status == 200


@pytest.mark.parametrize("step", ["turn", "learn"])
async def test_a_login_is_delivered_whatever_becomes_of_its_record(step: str) -> None:
    """given Redis lost during a login, not strict, then it is delivered, and written down when Redis is back."""
    stage, store = faulty_stage(strict=False)
    store.failing = (step,)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        store.failing = ()
        assert (await stage.gate.refresh(token)).status == 200
    assert stage.gate.results("issue") == ["uncommitted"]
    assert stage.gate.results() == ["rotated"]
    (late,) = [event for event in stage.gate.reported(Audit) if event.outcome == "committed late"]
    assert (late.action, late.user) == ("issue", "42")


@pytest.mark.parametrize("step", ["turn", "learn"])
async def test_a_strict_login_without_redis_is_refused(step: str) -> None:
    """given strict mode, when Redis is lost after the backend's 2xx to a login, then 503: no half-working login."""
    stage, store = faulty_stage(strict=True, carrier="cookie")
    stage.backend.by_cookie = True
    store.failing = (step,)
    stage.gate.available = lambda: True
    outcome = await stage.gate.login()
    assert (outcome.status, outcome.code) == (503, "redis-required")
    assert header_values(outcome.headers, b"set-cookie") == []
    assert stage.gate.results("issue") == ["redis_required"]
    assert len(stage.gate.layer._desk.arrears) == 0


async def test_a_closed_gate_keeps_a_strict_login_from_the_backend() -> None:
    """given strict mode and Redis away, also where one route is for logins and refreshes, then 503 and no token is
    minted; of a refresh nothing else is said either."""
    stage, store = faulty_stage(strict=True)
    async with running(stage.gate):
        store.failing = ("turn",)
        assert (await stage.gate.login()).code == "redis-required"
        assert stage.backend.seen == []
        assert (await stage.gate.refresh("")).code == "redis-required"


async def test_a_login_written_late_is_ended_by_a_revoke_all_before() -> None:
    """given a login that Redis did not hear of, when all of its user's are ended meanwhile, then it is refused."""
    stage, store = faulty_stage(strict=False)
    store.failing = ("turn",)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        stage.clock.advance(5)
        await stage.ledger.close_all("42", "revoked")
        stage.clock.advance(5)
        store.failing = ()
        assert (await stage.gate.refresh(token)).code == "invalid-token"
    assert stage.backend.refreshes == []


async def test_logout_reaches_the_backend_and_ends_the_family() -> None:
    """Both know it: the backend answers, and the family's tokens are refused here."""
    stage = Stage()
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        second = (await stage.gate.refresh(first)).token
        assert (await stage.gate.logout(second)).status == 204
        assert stage.backend.logouts == 1
        assert second not in stage.backend.valid
        assert (await stage.gate.refresh(second)).code == "invalid-token"
        assert (await stage.gate.refresh(first)).code == "invalid-token"
        assert (await stage.gate.logout(second)).status == 204
    assert stage.gate.results("logout") == ["ok", "ended"]
    assert len(stage.backend.refreshes) == 1


async def test_a_spent_token_logs_out_too() -> None:
    """given a token of an earlier generation, then its family is ended without an alarm."""
    stage = Stage()
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        second = (await stage.gate.refresh(first)).token
        stage.clock.advance(60)
        await stage.gate.logout(first)
        assert (await stage.gate.refresh(second)).code == "invalid-token"
    assert stage.gate.results("logout") == ["ok"]


@pytest.mark.parametrize("body", [b"", b"not json", b'{"refreshToken":"hush-unknown"}'])
async def test_a_logout_of_nobody_is_the_backends(body: bytes) -> None:
    """Case 37: without a token that is known here, the backend alone answers, and gets the content as it came."""
    seen = []

    async def forward(exchange: Exchange) -> Reply:
        assert isinstance(exchange.body, Buffered)
        seen.append(exchange.body.content)
        return Reply(204)

    gate = Gate(memory_store(SetClock())[0], forward)
    assert (await gate.send(Exchange("POST", b"/logout", body=Buffered(body)))).status == 204
    assert seen == [body]
    assert gate.results("logout") == ["nothing"]


@pytest.mark.parametrize("strict", [True, False])
async def test_logout_with_redis_away(strict: bool) -> None:
    """The backend is told, the browser forgets, and the client hears that the family is not yet ended."""
    stage, store = faulty_stage(strict=strict, carrier="cookie")
    gate = stage.gate
    store.failing = ("present",)
    outcome = await gate.logout("hush-token")
    assert (outcome.status, outcome.code) == (503, "redis-required")
    assert any(b"refresh_token=; Max-Age=0" in value for value in header_values(outcome.headers, b"set-cookie"))
    assert stage.backend.logouts == 1


async def test_all_else_passes() -> None:
    """What is no token route is not looked at."""
    stage = Stage()
    exchange = Exchange("POST", b"/other", [(b"Accept-Encoding", b"br")])
    assert (await stage.gate.send(exchange)).content == b"other"
    assert exchange.headers == [(b"Accept-Encoding", b"br")]


def _login(user: str) -> Exchange:
    body = Buffered(b'{"user":"%b","password":"hush-pass"}' % user.encode())
    return Exchange("POST", b"/login", [(b"User-Agent", b"test")], body, client="192.0.2.77")


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (200, b'{"user":{"id":"ann"},"refresh_token":"hush-a"}', True),
        (200, b'{"user":{"id":"ann"},"data":{"refreshToken":"hush-a"}}', True),
        (200, b'{"refreshToken":"hush-a","n":NaN}', True),
        (200, b'{"user":{"id":{}}}', True),
        (204, b"", True),
        (200, b'{"mfa":true}', False),
        (200, b'{"user":{"id":"ann"},"refreshToken":"hush-a"}', False),
        (401, b"no", False),
    ],
)
async def test_a_login_that_brings_nothing_to_guard_is_told(status: int, content: bytes, told: bool) -> None:
    """given a 2xx that names somebody or cannot be read, and no token in its place, then the operator hears of it."""

    async def forward(exchange: Exchange) -> Reply:
        return Reply(status, [(b"Content-Type", b"application/json")], Buffered(content))

    gate = Gate(memory_store(SetClock())[0], forward)
    assert (await gate.send(_login("ann"))).content == content
    assert gate.reported(NothingBrought) == ([NothingBrought("login")] if told else [])


async def test_a_refresh_that_brings_nothing_to_guard_is_told() -> None:
    """given a 2xx without a refresh token, then it is delivered, and the operator hears of it; of others not."""
    stage = Stage()
    async with running(stage.gate):
        token = (await stage.gate.refresh((await stage.gate.login()).token)).token
        assert stage.gate.reported(NothingBrought) == []
        stage.backend.rotates = False
        assert (await stage.gate.refresh(token)).status == 200
    assert stage.gate.reported(NothingBrought) == [NothingBrought("refresh")]
