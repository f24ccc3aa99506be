"""The audit trail: what happens to a family, to its last line, and never a token."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from gateway.exchange import Exchange
from gateway.observability.journal import Journal
from gateway.tokens.events import AttemptFailed, Audit
from tests.tokens.support import KEY, Portal, TimedClient, another_gateway, away, state_of

NETWORK = "192.0.2.0/24"


def _trail(portal: Portal) -> list[tuple[str, str, str, str, str]]:
    """Return the trail's lines, and forget them."""
    lines = portal.reported(Audit)
    portal.events.clear()
    return [(line.action, line.outcome, line.family, line.token, line.network) for line in lines]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Give what the process logs, a JSON object a line."""
    stream = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(stream)
    )
    yield stream
    structlog.reset_defaults()


async def test_every_way_of_a_family_is_told(stage: tuple[Portal, TimedClient]) -> None:
    """Issue, refresh, replay, heal, adopt, reuse, what comes after the end, expiry: with family, hash and network."""
    portal, client = stage
    first = (await portal.login()).token
    family, hashed = portal.read(first).family, portal.mint.fingerprint
    assert _trail(portal) == [("issue", "ok", family, hashed(first), NETWORK)]
    behind = state_of(client)
    second = (await portal.refresh(first)).token
    await portal.refresh(first)
    assert _trail(portal) == [("refresh", name, family, hashed(first), NETWORK) for name in ("rotated", "replayed")]
    client.redis.hset(KEY, mapping=behind)
    third = (await portal.refresh(second)).token
    client.redis.delete(KEY)
    fourth = (await portal.refresh(third)).token
    assert _trail(portal) == [
        ("refresh", "healed", family, hashed(second), NETWORK),
        ("refresh", "adopted", family, hashed(third), NETWORK),
    ]
    portal.clock.advance(31)
    await portal.refresh(third)
    await portal.refresh(fourth)
    assert _trail(portal) == [
        ("refresh", "reused", family, hashed(third), NETWORK),
        ("refresh", "reused", family, hashed(fourth), NETWORK),
    ]
    other = (await portal.login()).token
    portal.clock.advance(3600)
    client.redis.delete(KEY)
    await portal.refresh(other)
    portal.clock.advance(604_800)
    await portal.refresh(other)
    outcomes = [(action, outcome) for action, outcome, *_ in _trail(portal)]
    assert outcomes == [("issue", "ok"), ("refresh", "unknown"), ("refresh", "expired")]


async def test_every_end_of_a_family_is_told(stage: tuple[Portal, TimedClient]) -> None:
    """Eviction, logout, a logout again, and the token that comes after each, with the reason."""
    portal, _ = stage
    tokens = []
    for _ in range(11):
        portal.clock.advance(1)
        tokens.append((await portal.login()).token)
    evicted, hashed = portal.read(tokens[0]).family, portal.mint.fingerprint
    assert _trail(portal)[-1] == ("evict", "evicted", evicted, "", NETWORK)
    await portal.refresh(tokens[0])
    assert _trail(portal) == [("refresh", "evicted", evicted, hashed(tokens[0]), NETWORK)]
    left = portal.read(tokens[1]).family
    for _ in range(2):
        await portal.logout(tokens[1])
    await portal.refresh(tokens[1])
    assert _trail(portal) == [
        ("logout", "ok", left, hashed(tokens[1]), NETWORK),
        ("logout", "ended", left, hashed(tokens[1]), NETWORK),
        ("refresh", "revoked", left, hashed(tokens[1]), NETWORK),
    ]


async def test_what_happens_without_redis_is_told(stage: tuple[Portal, TimedClient]) -> None:
    """Degraded logins and refreshes, refusals of strict mode and of logouts, and a login nobody received."""
    portal, client = stage
    strict = another_gateway(portal, require_redis=True)
    client.before = away()
    token = (await portal.login()).token
    await portal.refresh(token)
    await portal.logout(token)
    assert [line[:2] for line in _trail(portal)] == [
        ("issue", "degraded"), ("refresh", "degraded"), ("logout", "redis_required")
    ]  # fmt: skip
    await strict.refresh(token)
    assert [line[:2] for line in _trail(strict)] == [("refresh", "redis_required")]
    client.before = lambda name: None
    reply = await portal.layer.handle(Exchange("POST", b"/login"), portal.backend.handle)
    await reply.body.aclose()
    lines = _trail(portal)
    assert [line[:2] for line in lines] == [("issue", "ok"), ("issue", "undelivered")]
    assert lines[0][3] == lines[1][3] != ""


async def test_a_degraded_login_names_its_token(stage: tuple[Portal, TimedClient]) -> None:
    """The token of a login without Redis can be followed from its first line; a refused login has none."""
    portal, client = stage
    strict = another_gateway(portal, require_redis=True)
    client.before = away()
    token = (await portal.login()).token
    assert [line[3] for line in _trail(portal)] == [portal.mint.fingerprint(token)]
    await strict.login()
    assert [(line[1], line[3]) for line in _trail(strict)] == [("redis_required", "")]


async def test_what_is_no_token_of_ours_is_told_of_its_network_alone(stage: tuple[Portal, TimedClient]) -> None:
    """A forged token names a family it may know nothing of: no line of a family's trail, but where it came from; what
    is no token at all is no guess."""
    portal, _ = stage
    token = (await portal.login()).token
    _trail(portal)
    await portal.refresh(token[:-4] + "AAAA")
    assert portal.reported(AttemptFailed) == [AttemptFailed("refresh", "invalid", NETWORK)]
    assert _trail(portal) == []
    for presented in ("junk", ""):
        await portal.refresh(presented)
    assert (portal.reported(AttemptFailed), _trail(portal)) == ([], [])


async def test_a_line_names_the_device_and_never_the_token(stage: tuple[Portal, TimedClient], log: io.StringIO) -> None:
    """As the journal writes it: `Token audit`, `audit: true`, a hash that is the same for the same token."""
    portal, _ = stage
    portal.layer._refresh._desk.emit = Journal(portal.clock)
    tokens = [(await portal.login(agent="phone")).token]
    for _ in range(2):
        exchange = portal.request(b"/refresh", tokens[0])
        exchange.headers.append((b"User-Agent", b'lap\r\ntop "\xff"'))
        tokens.append((await portal.send(exchange)).token)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["event"], line["audit"], line["outcome"]) for line in lines] == [
        ("Token audit", True, "ok"), ("Token audit", True, "rotated"), ("Token audit", True, "replayed")
    ]  # fmt: skip
    assert lines[0]["device"].endswith("phone")
    assert lines[1]["device"].endswith('lap top " "')
    assert lines[1]["token_hash"] == lines[2]["token_hash"] == portal.mint.fingerprint(tokens[0])
    assert len(lines[1]["token_hash"]) == 12
    written = log.getvalue()
    assert not any(part in written for token in tokens for part in token.split(".")[1:])
