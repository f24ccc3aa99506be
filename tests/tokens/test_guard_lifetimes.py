"""How long the guard remembers: as long as the backend may take a token, as far as that can be known."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.tokens import guard
from gateway.tokens.guard_answer import end_in
from gateway.tokens.rotation import Policy
from tests.support.valkey import ValkeyServer
from tests.tokens.guard_support import Gate, Minting, guard_settings, jwt_like, memory_store, running, timed_store
from tests.tokens.support import START, SetClock

DAY = 86_400
SHORT = {"refresh_ttl": "1d", "session_ttl": "30d"}
POLICY = Policy(refresh_ttl=DAY, session_ttl=30 * DAY)


class Lasting(Minting):
    """Mints JWTs that live for some days, and takes each as often as it comes: only the gateway stands in its way."""

    def __init__(self, days: float, clock: SetClock) -> None:
        super().__init__(jwt=True)
        self.days, self.clock = days, clock

    def mint(self, user: str) -> str:
        self._made += 1
        token = jwt_like(sub=user, n=self._made, exp=int(self.clock.now + self.days * DAY))
        self.valid[token] = user
        return token

    async def _refresh(self, token: str) -> Any:
        reply = await super()._refresh(token)
        self.valid[token] = "42"
        return reply


class House:
    """A gateway in front of a backend whose tokens outlive `refresh_ttl`."""

    def __init__(self, days: float = 20) -> None:
        self.clock = SetClock()
        settings = guard_settings(**SHORT)
        self.backend = Lasting(days, self.clock)
        self.store, self.ledger = memory_store(self.clock, settings.policy)
        self.gate = Gate(self.store, self.backend.handle, clock=self.clock, **SHORT)


async def test_a_spent_jwt_is_caught_until_it_ends() -> None:
    """given a JWT with an end of its own beyond `refresh_ttl`, then it is reuse until then, and is not forwarded."""
    house = House()
    async with running(house.gate):
        first = (await house.gate.login()).token
        second = (await house.gate.refresh(first)).token
        house.clock.advance(19.9 * DAY)
        assert (await house.gate.refresh(first)).code == "invalid-token"
        assert (await house.gate.refresh(second)).code == "invalid-token"
    assert house.backend.refreshes == [first]
    assert house.gate.results() == ["rotated", "reused", "ended"]


@pytest.mark.parametrize("how", ["logout", "revoke-all", "eviction"])
async def test_an_ended_jwt_stays_so_until_it_ends(how: str) -> None:
    """given a family that was ended, in whatever way, then its tokens are refused until they end themselves."""
    house = House()
    async with running(house.gate):
        first = (await house.gate.login()).token
        second = (await house.gate.refresh(first)).token
        house.clock.advance(10 * DAY)
        if how == "logout":
            await house.gate.logout(second)
            house.backend.valid[second] = "42"
        elif how == "revoke-all":
            await house.ledger.close_all("42", "revoked")
        else:
            for _ in range(10):
                await house.gate.login()
        house.clock.advance(9.9 * DAY)
        assert (await house.gate.refresh(second)).code == "invalid-token"
        assert (await house.gate.refresh(first)).code == "invalid-token"
    assert house.backend.refreshes == [first]


async def test_a_successor_is_remembered_until_it_ends_itself() -> None:
    """given a refresh shortly before the presented token ends, then the successor's end counts."""
    house = House()
    async with running(house.gate):
        first = (await house.gate.login()).token
        house.clock.advance(10 * DAY)
        second = (await house.gate.refresh(first)).token
        house.clock.advance(5 * DAY)
        await house.ledger.close_all("42", "revoked")
        house.clock.advance(14.9 * DAY)
        assert (await house.gate.refresh(second)).code == "invalid-token"
    assert house.backend.refreshes == [first]


async def test_a_family_that_is_not_known_is_buried_for_a_session() -> None:
    """given a token whose family was lost, when it logs out, then it stays refused as long as it may be remembered."""
    house = House()
    async with running(house.gate):
        token = (await house.gate.login()).token
        house.ledger.users["42"].records.clear()
        await house.gate.logout(token)
        house.backend.valid[token] = "42"
        house.ledger.users["42"].floor = 0
        house.clock.advance(19.9 * DAY)
        guard.families.drop_dead(house.ledger.users["42"], int(house.clock.now * 1000))
        assert (await house.gate.refresh(token)).code == "invalid-token"
    assert house.backend.refreshes == []


async def test_a_session_bounds_what_a_token_says() -> None:
    """given a JWT that says it lives for a year, then it is remembered for `session_ttl`, and passes afterwards."""
    house = House(days=365)
    async with running(house.gate):
        first = (await house.gate.login()).token
        second = (await house.gate.refresh(first)).token
        house.clock.advance(29.9 * DAY)
        assert (await house.gate.refresh(first)).code == "invalid-token"
        house.clock.advance(DAY)
        assert (await house.gate.refresh(second)).status == 200


@pytest.mark.parametrize(
    ("end", "life"), [(0, DAY), (1, DAY), (int(START) + 5 * DAY, 5 * DAY), (2**60, 30 * DAY)], ids=str
)
async def test_records_last_as_long_in_redis(shared_valkey: ValkeyServer, end: int, life: int) -> None:
    """The token's record, its family, and what is left of it when it is ended."""
    store, client = timed_store(shared_valkey, SetClock(), POLICY)
    lineage = guard.Lineage("ann", "f" * 24, int(START))
    await store.turn(lineage, "", end)
    await store.learn("a" * 32, lineage, fresh=True, end=end)
    await store.trade("b" * 32, "", lineage, spent=True, kept=False, end=end)
    for name in ("a" * 32, "b" * 32):
        assert round(client.redis.pttl(store.key(name)) / 1000) == life  # type: ignore[operator]
    assert client.redis.hget("gw:t:{ann}", lineage.family).split(b":")[5] == b"%d" % (START + life)  # type: ignore[union-attr]
    await store.end(lineage, "revoked", int(START * 1000))
    assert client.redis.hget("gw:t:{ann}", lineage.family) == b"T:revoked:%d:%d" % (START + life, START)
    client.close()


async def test_a_family_lasts_as_long_as_the_longest_of_its_tokens() -> None:
    """given a turn whose tokens end earlier than those before, then what was given before is still remembered."""
    user = guard.User()
    lineage = guard.Lineage("ann", "f" * 24, int(START))
    now = int(START * 1000)
    guard.turn(user, lineage, "", now, POLICY, end=int(START) + 20 * DAY)
    guard.turn(user, lineage, "", now, POLICY, end=int(START) + 2 * DAY)
    assert user.records[lineage.family].expires == int(START) + 20 * DAY  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("token", "end"),
    [
        (jwt_like(exp=5), 5),
        (jwt_like(exp=5.9), 5),
        (jwt_like(exp=5).replace(".", "%2E"), 5),
        (jwt_like(exp=-5), 0),
        (jwt_like(exp="5"), 0),
        (jwt_like(exp=1e300), 0),
        (jwt_like(sub="42"), 0),
        ("hush-a.b.c", 0),
        ("hush-opaque", 0),
    ],
)
def test_when_a_token_says_that_it_ends(token: str, end: int) -> None:
    """A number of seconds in a JWT; anything else says nothing."""
    assert end_in(token) == end
