"""Login, refresh and logout through the layer, on the memory ledger."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Buffered, Exchange, Reply, header, header_values
from gateway.tokens.events import Audit, FamiliesAtLogin, LoginUnreadable, TokenOperation
from gateway.tokens.memory import MemoryLedger
from gateway.tokens.rotation import Presented, Tombstone
from tests.support.virtual import LoopClock, virtual
from tests.tokens.support import SECRET, START, AwayLedger, Portal, SetClock, token_settings

_DECODE: Any = {"verify_exp": False, "verify_iat": False}


def _portal(**changes: Any) -> Portal:
    clock = SetClock()
    return Portal(MemoryLedger(token_settings(**changes).policy, clock), clock, **changes)


def _memory(portal: Portal) -> MemoryLedger:
    assert isinstance(portal.ledger, MemoryLedger)
    return portal.ledger


def _access(token: str) -> dict[str, Any]:
    payload: dict[str, Any] = jwt.decode(token, SECRET, ["HS256"], _DECODE, audience="backend", issuer="gateway")
    return payload


async def test_a_login_brings_a_pair() -> None:
    """The four members come behind the backend's own; the tokens say who logged in, when and for how long."""
    portal = _portal()
    outcome = await portal.login(42, agent="phone")
    assert list(outcome.json) == ["user", "accessToken", "refreshToken", "expiresIn", "tokenType"]
    assert outcome.json["tokenType"] == "Bearer"
    access = _access(outcome.access)
    assert (access["sub"], access["email"], access["role"]) == ("42", "ann@example.com", "admin")
    assert (access["iat"], access["exp"]) == (START, START + outcome.json["expiresIn"])
    token = portal.read(outcome.token)
    assert (token.generation, token.auth_time, token.expires) == (1, START, START + 604_800)
    assert portal.reported(TokenOperation) == [TokenOperation("issue", "ok")]
    assert portal.reported(FamiliesAtLogin) == [FamiliesAtLogin(1)]
    assert portal.reported(Audit) == [
        Audit("issue", "ok", "42", token.family, portal.mint.fingerprint(outcome.token), "phone", "192.0.2.0/24")
    ]


async def test_a_login_asks_for_an_answer_it_can_read() -> None:
    """The client's Accept-Encoding does not reach the backend, everything else does."""
    portal = _portal()
    headers = [(b"Accept-Encoding", b"gzip, br"), (b"X-A", b"1"), (b"accept-encoding", b"zstd")]
    await portal.send(Exchange("POST", b"/login?next=%2F", headers, Buffered(b"hush-password")))
    (seen,) = portal.backend.seen
    assert seen.headers == [(b"X-A", b"1"), (b"Accept-Encoding", b"identity")]
    assert seen.target == b"/login?next=%2F"


@pytest.mark.parametrize("content", [b'{ "mfaRequired" : true }', b'{"user":{"id":null}}', b"[1]", b"oops"])
async def test_a_login_without_a_subject_passes_unchanged(content: bytes) -> None:
    """A second factor, or anything else that names nobody: byte for byte, no family."""
    portal = _portal()
    portal.backend.content = content
    outcome = await portal.send(Exchange("POST", b"/login"))
    assert (outcome.content, outcome.headers) == (content, portal.backend.headers)
    assert all(type(event) is LoginUnreadable for event in portal.events)
    assert not _memory(portal).users


async def test_a_refused_login_passes_unchanged() -> None:
    """A 401 of the backend is the client's, whatever it says."""
    portal = _portal()
    portal.backend.status = 401
    outcome = await portal.send(Exchange("POST", b"/login"))
    assert (outcome.status, outcome.content) == (401, portal.backend.content)


async def test_other_requests_are_not_touched() -> None:
    """What no matcher knows goes to the backend as it is, the very same exchange."""
    portal = _portal()
    exchange = Exchange("GET", b"/profile", [(b"Accept-Encoding", b"gzip")])
    await portal.send(exchange)
    assert portal.backend.seen == [exchange]
    assert exchange.headers == [(b"Accept-Encoding", b"gzip")]


async def test_refresh_and_logout_are_never_forwarded() -> None:
    """The backend sees neither, whether they succeed or fail."""
    portal = _portal()
    token = (await portal.login()).token
    for request in (portal.refresh(token), portal.refresh("x"), portal.logout(token), portal.logout("")):
        await request
    assert len(portal.backend.seen) == 1


async def test_a_login_whose_answer_is_not_read_leaves_no_family() -> None:
    """given a client that is gone, when the answer's body is closed unread, then its family is ended."""
    portal = _portal()
    reply = await portal.layer.handle(Exchange("POST", b"/login"), portal.backend.handle)
    assert len(_memory(portal).users["42"].live()) == 1
    await reply.body.aclose()
    assert _memory(portal).users["42"].live() == {}
    assert portal.reported(TokenOperation)[-1] == TokenOperation("issue", "undelivered")


async def test_a_login_cancelled_while_it_is_written_leaves_no_family() -> None:
    """given a store that has written the family and not yet answered, when the login is cancelled, then it is ended."""
    portal = _portal()
    memory = _memory(portal)
    written = asyncio.Event()
    issue = memory.issue

    async def issue_and_hang(user: str, family: str, key_id: str, device: str) -> Any:
        await issue(user, family, key_id, device)
        written.set()
        await asyncio.Event().wait()

    memory.issue = issue_and_hang  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        login = group.create_task(portal.login())
        await written.wait()
        login.cancel()
    assert memory.users["42"].live() == {}
    (record,) = memory.users["42"].records.values()
    assert isinstance(record, Tombstone)
    assert record.reason == "undelivered"


@virtual
async def test_an_undelivered_login_ends_as_soon_as_redis_answers() -> None:
    """given strict mode, a family that was written unheard and an outage, then its end is owed: carried out when Redis
    is back, and audited only then."""
    clock = LoopClock()
    ledger = MemoryLedger(token_settings().policy, clock)
    portal = Portal(ledger, clock, require_redis=True)  # type: ignore[arg-type]
    issue, end = ledger.issue, ledger.end

    async def unheard(*arguments: Any) -> Any:
        await issue(*arguments)
        raise StoreUnavailable("timeout")

    async def away(*arguments: Any) -> bool:
        raise StoreUnavailable("away")

    ledger.issue, ledger.end = unheard, away  # type: ignore[method-assign]
    running = asyncio.create_task(portal.layer.run())
    assert (await portal.login()).code == "redis-required"
    await asyncio.sleep(60)
    assert len(ledger.users["42"].live()) == 1
    assert [event.outcome for event in portal.reported(Audit)] == ["redis_required"]
    ledger.end = end  # type: ignore[method-assign]
    await asyncio.sleep(2)
    assert ledger.users["42"].live() == {}
    assert [event.outcome for event in portal.reported(Audit)] == ["redis_required", "undelivered"]
    running.cancel()


async def test_a_closed_gate_is_told_before_anything_of_a_token() -> None:
    """given strict mode and Redis away, then whatever is presented hears 503, and no cookie is touched."""
    clock = SetClock()
    portal = Portal(MemoryLedger(token_settings().policy, clock), clock, require_redis=True, carrier="cookie")
    for available, code in ((True, "invalid-request"), (False, "redis-required")):
        portal.available = available
        outcome = await portal.refresh("x")
        assert (outcome.code, outcome.header(b"set-cookie")) == (code, None)


async def test_a_backend_that_breaks_off_leaves_nothing() -> None:
    """An error while the answer is read is the caller's; the body is closed and no family begins."""
    portal = _portal()

    class Broken(Buffered):
        closed = False

        async def __aiter__(self) -> Any:
            yield b'{"user":'
            raise GatewayError("upstream-unreachable")

        async def aclose(self) -> None:
            self.closed = True

    body = Broken(b"x")

    async def forward(exchange: Exchange) -> Reply:
        return Reply(200, [(b"Content-Type", b"application/json")], body)

    with pytest.raises(GatewayError, match="upstream-unreachable"):
        await portal.layer.handle(Exchange("POST", b"/login"), forward)
    assert body.closed
    assert not _memory(portal).users


async def test_a_refresh_brings_the_next_pair() -> None:
    """Only the pair, by the store's time, with the login's claims."""
    portal = _portal()
    first = await portal.login()
    portal.clock.advance(600)
    second = await portal.refresh(first.token)
    assert set(second.json) == {"accessToken", "refreshToken", "expiresIn", "tokenType"}
    token = portal.read(second.token)
    assert (token.generation, token.auth_time, token.issued_at) == (2, START, START + 600)
    assert token.expires == START + 600 + 604_800
    access = _access(second.access)
    assert (access["iat"], access["role"]) == (START + 600, "admin")
    assert "deg" not in access
    assert second.header(b"content-type") == b"application/json"
    assert second.header(b"content-length") == b"%d" % len(second.content)


async def test_an_access_token_never_outlives_the_session() -> None:
    """Near the absolute end `expiresIn` says how much is left."""
    portal = _portal(session_ttl="1h", refresh_ttl="1h", access_ttl="15m")
    first = await portal.login()
    portal.clock.advance(3300)
    assert (await portal.refresh(first.token)).json["expiresIn"] == 300


async def test_cookies_carry_the_pair() -> None:
    """carrier cookie: the JSON of the login is as it was, a refresh says when to come back, no token in either."""
    portal = _portal(carrier="cookie")
    first = await portal.login()
    assert first.json == {"user": {"id": "42", "email": "ann@example.com", "role": "admin"}}
    assert set(first.cookies) == {"access_token", "refresh_token"}
    second = await portal.refresh(first.token)
    assert second.json == {"expiresIn": second.json["expiresIn"], "tokenType": "Bearer"}
    assert portal.read(second.token).generation == 2
    assert _access(second.cookies["access_token"])["sub"] == "42"


async def test_cookies_are_cleared_by_a_refusal_and_by_nothing_else() -> None:
    """A 401 clears both; a 400, a 503 and a success of another do not (that would log the winner of a race out)."""
    portal = _portal(carrier="cookie", require_redis=True)
    refused = await portal.refresh(portal.mint.access(portal.read((await portal.login()).token).login, 0, 1))
    assert (refused.status, refused.cookies) == (401, {"access_token": "", "refresh_token": ""})
    malformed = await portal.refresh("junk")
    assert (malformed.status, malformed.cookies) == (400, {})
    token = (await portal.login()).token
    away = Portal(AwayLedger(), portal.clock, carrier="cookie", require_redis=True)
    strict = await away.refresh(token)
    assert (strict.status, strict.cookies) == (503, {})


async def test_one_public_text_for_every_refusal() -> None:
    """Unknown, expired, revoked, reused or forged: the client cannot tell one from the other."""
    portal = _portal()
    texts = set()
    first = (await portal.login()).token
    second = (await portal.refresh(first)).token
    await portal.logout((await portal.login("43")).token)
    portal.clock.advance(31)
    for token in (first, second, first[:-4] + "AAAA", portal.mint.access(portal.read(first).login, 0, 1)):
        with pytest.raises(GatewayError) as caught:
            await portal.layer.handle(portal.request(b"/refresh", token), portal.backend.handle)
        texts.add((caught.value.code, caught.value.detail, tuple(caught.value.headers)))
    assert len(texts) == 1
    assert header(list(texts.pop()[2]), b"www-authenticate") == b"Bearer"


async def test_a_logout_ends_the_family() -> None:
    """204, cookies cleared, nothing of the family is good any more."""
    portal = _portal(carrier="cookie")
    first = await portal.login()
    second = await portal.refresh(first.token)
    outcome = await portal.logout(first.token)
    assert (outcome.status, outcome.content) == (204, b"")
    assert outcome.cookies == {"access_token": "", "refresh_token": ""}
    assert (await portal.refresh(second.token)).status == 401
    assert (await portal.logout(second.token)).status == 204
    results = [event.result for event in portal.reported(TokenOperation) if event.operation == "logout"]
    assert results == ["ok", "ended"]


@pytest.mark.parametrize("require_redis", [True, False])
async def test_a_logout_without_redis_says_so_and_clears_cookies(require_redis: bool) -> None:
    """503 in both modes: the browser forgets, and is told that the family may not have ended."""
    token = (await _portal(carrier="cookie").login()).token
    portal = Portal(AwayLedger("timeout"), SetClock(), carrier="cookie", require_redis=require_redis)
    with pytest.raises(GatewayError) as caught:
        await portal.layer.handle(portal.request(b"/logout", token), portal.backend.handle)
    assert (caught.value.code, caught.value.retry_after) == ("redis-required", 2)
    assert len(header_values(caught.value.headers, b"set-cookie")) == 2


async def test_the_trail_names_tokens_by_a_hash() -> None:
    """Every operation on a token has an audit line with its fingerprint; no event holds a token."""
    portal = _portal()
    tokens = [(await portal.login()).token]
    for _ in range(2):
        tokens.append((await portal.refresh(tokens[-1])).token)
    await portal.refresh(tokens[0])
    await portal.logout(tokens[-1])
    family = portal.read(tokens[0]).family
    trail = [(line.action, line.outcome, line.token) for line in portal.reported(Audit)]
    fingerprint = portal.mint.fingerprint
    assert trail == [
        ("issue", "ok", fingerprint(tokens[0])),
        ("refresh", "rotated", fingerprint(tokens[0])),
        ("refresh", "rotated", fingerprint(tokens[1])),
        ("refresh", "reused", fingerprint(tokens[0])),
        ("logout", "ended", fingerprint(tokens[-1])),
    ]
    assert {line.family for line in portal.reported(Audit)} == {family}
    assert not any(token in repr(portal.events) for token in tokens)


async def test_a_strict_login_without_redis_is_taken_back() -> None:
    """given Redis lost in the middle of a login, then 503, and what may have been written is ended as far as can be."""
    portal = _portal(require_redis=True)
    memory = _memory(portal)
    ended: list[Presented] = []

    async def end(user: str, presented: Presented, reason: str) -> bool:
        ended.append(presented)
        return True

    memory.issue = AwayLedger("timeout").issue  # type: ignore[method-assign]
    memory.end = end  # type: ignore[method-assign]
    outcome = await portal.login()
    assert (outcome.status, outcome.code) == (503, "redis-required")
    assert len(ended) == 1


async def test_a_degraded_refresh_is_judged_by_this_pods_clock() -> None:
    """given Redis away, not strict, then a token past its time is refused here."""
    token = (await _portal().login()).token
    portal = Portal(AwayLedger(), SetClock(START + 604_800))
    assert (await portal.refresh(token)).status == 401
    portal.clock.advance(-1)
    outcome = await portal.refresh(token)
    assert outcome.status == 200
    assert _access(outcome.access)["deg"] is True
