"""Tokens with several names, because there are several refresh secrets, and tokens in several spellings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.errors import StoreUnavailable
from gateway.exchange import Buffered, Exchange
from gateway.tokens.guard import Busy, Claimed, Lineage
from gateway.tokens.guard_desk import GuardDesk
from gateway.tokens.keys import Keys
from tests.tokens.guard_support import SECRET, Gate, Minting, guard_settings, memory_store, running
from tests.tokens.support import SetClock

OTHER = "hush-another-secret-of-32-bytes-or-more"
ORDERS = [(SECRET, OTHER), (OTHER, SECRET)]


class Replicas:
    """One store and one backend behind gateways that have secrets in different orders."""

    def __init__(self, **backend: bool) -> None:
        self.clock = SetClock()
        self.store, self.ledger = memory_store(self.clock)
        self.backend = Minting(**backend)  # type: ignore[arg-type]

    def gate(self, *secrets: str, **changes: object) -> Gate:
        """Return a gateway with these secrets."""
        ring = [{"secret": secret} for secret in secrets]
        changes = {"refresh_secret": None, "refresh_secrets": ring, **changes}
        return Gate(self.store, self.backend.handle, clock=self.clock, **changes)  # type: ignore[arg-type]

    @asynccontextmanager
    async def pair(self, writer: tuple[str, ...], reader: tuple[str, ...]) -> AsyncIterator[tuple[Gate, Gate]]:
        """Give two gateways that run."""
        gates = self.gate(*writer), self.gate(*reader)
        async with running(*gates):
            yield gates


@pytest.mark.parametrize("reader", ORDERS)
@pytest.mark.parametrize("writer", [(SECRET,), (OTHER,), *ORDERS])
async def test_a_revoked_token_stays_so_under_every_order(writer: tuple[str, ...], reader: tuple[str, ...]) -> None:
    """given a family that ended, whichever secret named its token, then it is refused and not forwarded."""
    stage = Replicas()
    async with stage.pair(writer, reader) as (first, second):
        token = (await first.login()).token
        await stage.ledger.close_all("42", "revoked")
        assert (await second.refresh(token)).code == "invalid-token"
    assert stage.backend.refreshes == []


@pytest.mark.parametrize("reader", ORDERS)
@pytest.mark.parametrize("writer", [(SECRET,), (OTHER,), *ORDERS])
async def test_reuse_is_caught_under_every_order(writer: tuple[str, ...], reader: tuple[str, ...]) -> None:
    """given a spent token, then it is answered in grace and refused after it, and its family ends."""
    stage = Replicas()
    async with stage.pair(writer, reader) as (first, second):
        token = (await first.login()).token
        successor = await first.refresh(token)
        assert (await second.refresh(token)).content == successor.content
        stage.clock.advance(31)
        assert (await second.refresh(token)).code == "invalid-token"
        assert (await second.refresh(successor.token)).code == "invalid-token"
        assert second.results() == ["replayed", "reused", "ended"]
    assert stage.backend.refreshes == [token]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("reader", ORDERS)
@pytest.mark.parametrize("writer", [(SECRET,), (OTHER,), *ORDERS])
async def test_a_token_in_flight_is_forwarded_once(
    writer: tuple[str, ...], reader: tuple[str, ...], known: bool
) -> None:
    """given replicas in the middle of a promotion, when both get a token at once, then one forwards it."""
    stage = Replicas()
    async with stage.pair(writer, reader) as (first, second):
        token = (await first.login()).token if known else stage.backend.mint("42")
        stage.backend.open = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            one = group.create_task(first.refresh(token))
            await stage.backend.holding.wait()
            two = group.create_task(second.refresh(token))
            await asyncio.sleep(0.02)
            assert stage.backend.refreshes == [token]
            stage.backend.open.set()
        assert one.result().status == 200
        assert one.result().content == two.result().content
        stage.clock.advance(31)
        assert (await second.refresh(token)).code == "invalid-token"
    assert stage.backend.refreshes == [token]


async def test_an_unknown_token_that_is_rejected_is_free_again() -> None:
    """given a token that the backend does not take, then no claim on any of its names holds up the next try."""
    stage = Replicas()
    async with stage.pair(*ORDERS) as (first, second):
        assert (await first.refresh("hush-unknown")).status == 401
        assert (await second.refresh("hush-unknown")).status == 401
        assert second.results() == ["rejected"]


@pytest.mark.parametrize("ended", ["revoked", "spent"])
async def test_a_login_lets_a_token_count_anew(ended: str) -> None:
    """given a token that an older name has as ended or spent, when a login brings it again, then it is good."""
    stage = Replicas(rotates=ended == "spent")
    async with stage.pair((SECRET,), ORDERS[1]) as (first, second):
        token = (await first.login()).token
        if ended == "spent":
            await first.refresh(token)
        else:
            await stage.ledger.close_all("42", "revoked")
        stage.clock.advance(31)
        stage.backend.mint = lambda user: token  # type: ignore[method-assign]
        stage.backend.valid[token] = "42"
        await second.login()
        assert (await second.refresh(token)).status == 200


async def test_names_are_claimed_together_or_not_at_all() -> None:
    """given one name taken, or Redis lost between two, then no claim is left on the others."""
    stage = Replicas()
    ring = [{"secret": secret} for secret in ORDERS[0]]
    settings = guard_settings(refresh_secret=None, refresh_secrets=ring)
    desk = GuardDesk(settings, Keys(settings), stage.store)
    body = Buffered(b'{"refreshToken":"hush-a"}')
    (shown,) = await desk.shown(Exchange("POST", b"/refresh", body=body))
    low, high = sorted(shown.names)
    await stage.store.present(high, "another")
    assert isinstance((await desk._claim_unknown(shown, "first")).met.verdict, Busy)
    assert stage.store.token(low) is None
    await stage.store.release(high, "another")
    present = stage.store.present

    async def away(name: str, *args: object, **options: object) -> object:
        if name == high:
            raise StoreUnavailable("away")
        return await present(name, *args, **options)  # type: ignore[arg-type]

    stage.store.present = away  # type: ignore[assignment,method-assign]
    gate = stage.gate(refresh_secret=None, refresh_secrets=ring, require_redis=True)
    async with running(gate):
        assert (await gate.refresh("hush-a")).code == "redis-required"
    assert stage.store.token(low) is None
    stage.store.present = present  # type: ignore[method-assign]
    lineage = Lineage("ann", "f" * 24, int(stage.clock.wall()) + 1)
    await stage.store.learn(high, lineage, fresh=True)
    found = await desk._claim_unknown(shown, "first")
    assert (found.met.verdict, found.name, found.held) == (Claimed(lineage), high, (high,))
    assert stage.store.token(low) is None


async def test_a_cookie_beside_the_content_is_not_forwarded() -> None:
    """given a revoked token in the cookie and another in the content, then the backend never sees the cookie."""
    stage = Replicas()
    gate = stage.gate(SECRET, carrier="both")
    async with running(gate):
        token = (await gate.login()).token
        await stage.ledger.close_all("42", "revoked")
        fields = [(b"Cookie", f"a=1; refresh_token={token}".encode())]
        body = Buffered(json.dumps({"refreshToken": "hush-junk"}).encode())
        assert (await gate.send(Exchange("POST", b"/refresh", fields, body))).status == 401
    assert stage.backend.refreshes == ["hush-junk"]
    assert [value for name, value in stage.backend.seen[-1].headers if name == b"Cookie"] == [b"a=1"]


async def test_a_revoked_cookie_is_refused_in_every_spelling() -> None:
    """given percent-encoding, blanks or padding, then the token is the same, and not forwarded."""
    stage = Replicas(by_cookie=True)
    gate = stage.gate(SECRET, carrier="cookie")
    async with running(gate):
        token = (await gate.login()).token
        await stage.ledger.close_all("42", "revoked")
        for text in (token, f"%68{token[1:]}", f'"{token}"', f" {token}", f"{token}=", f"{token}%3D"):
            assert (await gate.refresh(text)).code == "invalid-token"
    assert stage.backend.refreshes == []


@pytest.mark.parametrize("carrier", ["json", "cookie", "both"])
@pytest.mark.parametrize(
    "content",
    [
        '{"refreshToken":"hush-good","refreshToken":"%s"}',
        '{"refreshToken":"%s","refresh_token":"hush-good"}',
        '{"refresh_token":"%s"}',
        '{"refreshToken":"hush-good","x":"&refresh_token=%s&"}',
        "refresh_token=%s",
        "--x\r\nContent-Disposition: form-data; name=refreshToken\r\n\r\n%s\r\n--x--",
    ],
)
async def test_content_smuggles_no_second_token(carrier: str, content: str) -> None:
    """given a token that is judged and another one beside it that some backend may take, then nothing is forwarded."""
    stage = Replicas()
    gate = stage.gate(SECRET, carrier=carrier)
    async with running(gate):
        token = (await gate.login()).token
        await stage.ledger.close_all("42", "revoked")
        fields = [] if carrier == "json" else [(b"Cookie", b"refresh_token=hush-good")]
        body = Buffered((content % token).encode())
        outcome = await gate.send(Exchange("POST", b"/refresh", fields, body))
        assert outcome.code == "invalid-request"
    assert stage.backend.refreshes == []


async def test_a_token_in_cookie_and_content_is_one() -> None:
    """given the same token in both, then that one is judged and forwarded, and other cookies of the name are not."""
    stage = Replicas(by_cookie=True)
    gate = stage.gate(SECRET, carrier="cookie")
    async with running(gate):
        other, token = (await gate.login()).token, (await gate.login()).token
        fields = [(b"Cookie", f"refresh_token={other}; refresh_token={token}".encode())]
        body = Buffered(json.dumps({"refreshToken": token}).encode())
        assert (await gate.send(Exchange("POST", b"/refresh", fields, body))).status == 200
    assert stage.backend.refreshes == [token]
    assert [value for name, value in stage.backend.seen[-1].headers if name == b"Cookie"] == [
        f"refresh_token={token}".encode()
    ]


async def test_a_logout_ends_whatever_it_presents() -> None:
    """given tokens in every field that some backend may take, in whatever spelling, then all of their families end."""
    stage = Replicas(jwt=True)
    gate = stage.gate(SECRET, carrier="both")
    async with running(gate):
        tokens = [(await gate.login()).token for _ in range(5)]
        fields = [(b"Cookie", f"refresh_token={tokens[0]}=; refresh_token=%65{tokens[1][1:]}".encode())]
        content = (f'{{"refreshToken":"{tokens[2]}","refreshToken":"{tokens[3]}!",'
                   f'"refresh_token":"{tokens[4]}==","refreshtoken":"\\u0000"}}')  # fmt: skip
        assert (await gate.send(Exchange("POST", b"/logout", fields, Buffered(content.encode())))).status == 204
        assert stage.ledger.users["42"].live() == {}
    assert gate.results("logout") == ["ok"] * 5


async def test_a_padded_jwt_is_followed_like_any_other() -> None:
    """given a backend that pads its JWTs, then they are refreshed, and a revoked one is refused in every spelling."""
    stage = Replicas(jwt=True)
    mint = stage.backend.mint

    def padded(user: str) -> str:
        token = ".".join(part + "=" * (-len(part) % 4) for part in mint(user).split("."))
        stage.backend.valid[token] = user
        return token

    stage.backend.mint = padded  # type: ignore[method-assign]
    gate = stage.gate(SECRET)
    async with running(gate):
        first = (await gate.login()).token
        second = await gate.refresh(first)
        assert second.status == 200
        await gate.logout(second.token.replace("=", ""))
        for text in (second.token, second.token.replace("=", ""), f"{second.token}!"):
            assert (await gate.refresh(text)).code == "invalid-token"
    assert stage.backend.refreshes == [first]
