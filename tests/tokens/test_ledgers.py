"""One contract for both forms of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from gateway.tokens.ledger import Ledger, Remembered
from gateway.tokens.memory import MemoryLedger
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import (
    Adopted,
    Ended,
    Family,
    Policy,
    Presented,
    Replayed,
    Reused,
    Rotated,
    Unknown,
)
from tests.support.valkey import ValkeyServer
from tests.tokens.support import SetClock, TimedClient

POLICY = Policy(refresh_ttl=7200, session_ttl=20_000, grace_ms=30_000, max_families=3)
USER = "ann"


@dataclass
class Form:
    """A ledger and how its data is lost."""

    ledger: Ledger
    clock: SetClock
    client: TimedClient | None = None

    def lose_everything(self) -> None:
        if isinstance(self.ledger, MemoryLedger):
            self.ledger.users.clear()
            self.ledger.birth = int(self.clock.now * 1000)
        elif self.client is not None:
            self.client.redis.flushall()

    def forget_user(self) -> None:
        if isinstance(self.ledger, MemoryLedger):
            self.ledger.users.clear()
        elif self.client is not None:
            self.client.redis.delete(f"gw:t:{{{USER}}}")


@pytest.fixture(params=["memory", "redis"])
def form(request: pytest.FixtureRequest, shared_valkey: ValkeyServer) -> Iterator[Form]:
    """Give the memory form, then the Redis form."""
    clock = SetClock()
    if request.param == "memory":
        yield Form(MemoryLedger(POLICY, clock), clock)
        return
    client = TimedClient(shared_valkey, clock)
    yield Form(RedisLedger(client, POLICY), clock, client)  # type: ignore[arg-type]
    client.close()


async def _token(form: Form, family: str = "f0", user: str = USER) -> Presented:
    opened = await form.ledger.issue(user, family, "k", "phone")
    return Presented(family, 1, opened.auth_time, opened.rotated_ms // 1000, opened.expires, device="laptop")


def _successor(family: str, record: Family) -> Presented:
    return Presented(family, record.generation, record.auth_time, record.rotated_ms // 1000, record.expires)


async def test_issue_may_be_repeated(form: Form) -> None:
    """The same family issued again says the same, and counts once."""
    first = await form.ledger.issue(USER, "f", "k", "phone")
    form.clock.advance(2)
    assert await form.ledger.issue(USER, "f", "k", "phone") == first


async def test_a_login_that_was_given_up_is_not_revived(form: Form) -> None:
    """A family that was ended before its issue arrived stays ended."""
    token = await _token(form)
    other = replace(token, family="late")
    assert await form.ledger.end(USER, other, "undelivered")
    await form.ledger.issue(USER, "late", "k", "phone")
    assert (await form.ledger.refresh(USER, other, "k")).result == Ended("undelivered")


async def test_a_record_says_what_its_token_was_minted_from(form: Form) -> None:
    """A replay gives back generation, key and times of the rotation, not of the replay."""
    token = await _token(form)
    form.clock.advance(100)
    rotated = await form.ledger.refresh(USER, token, "k2")
    form.clock.advance(20)
    replayed = await form.ledger.refresh(USER, token, "k3")
    assert isinstance(rotated.result, Rotated)
    assert replayed.result == Replayed(rotated.result.family)
    assert rotated.result.family.key_id == "k2"
    assert replayed.now == rotated.now + 20_000


async def test_ten_times_the_cap_leaves_the_cap(form: Form) -> None:
    """The cap holds after every login, and the evicted are told oldest first, each with its device."""
    for index in range(30):
        form.clock.advance(1)
        opened = await form.ledger.issue(USER, f"f{index:02}", "k", f"phone {index}")
        assert opened.count == min(index + 1, 3)
        assert opened.evicted == (((f"f{index - 3:02}", f"phone {index - 3}"),) if index >= 3 else ())


async def test_families_of_an_empty_restart_are_adopted_once(form: Form) -> None:
    """given families of an hour ago, when the data is lost, then each goes on, and its spent token is still spent."""
    token = await _token(form)
    form.clock.advance(3600)
    form.lose_everything()
    adopted = await form.ledger.refresh(USER, token, "k")
    assert isinstance(adopted.result, Adopted)
    again = await form.ledger.refresh(USER, token, "k")
    assert again.result == Replayed(adopted.result.family)
    form.clock.advance(31)
    assert isinstance((await form.ledger.refresh(USER, token, "k")).result, Reused)
    successor = _successor("f0", adopted.result.family)
    assert (await form.ledger.refresh(USER, successor, "k")).result == Ended("reused")


async def test_an_unknown_token_younger_than_the_dataset_is_refused(form: Form) -> None:
    """given a dataset of yesterday, when a family is missing in it, then its token of ten minutes is refused."""
    await _token(form, user="somebody")
    form.clock.advance(3600)
    token = await _token(form)
    form.clock.advance(299)
    form.forget_user()
    assert isinstance((await form.ledger.refresh(USER, token, "k")).result, Adopted)
    form.clock.advance(1)
    form.forget_user()
    assert isinstance((await form.ledger.refresh(USER, token, "k")).result, Unknown)


async def test_adoption_respects_the_cap(form: Form) -> None:
    """given three families and a fourth that was lost, when the fourth comes, then the oldest makes room for it."""
    lost = await _token(form, "lost")
    form.clock.advance(10)
    form.forget_user()
    for index in range(3):
        form.clock.advance(1)
        await _token(form, f"f{index}")
    verdict = await form.ledger.refresh(USER, lost, "k")
    assert isinstance(verdict.result, Adopted)
    assert [family for family, _ in verdict.result.evicted] == ["f0"]


async def test_an_adopted_family_that_ended_is_not_adopted_again(form: Form) -> None:
    """given a family adopted after data loss and ended, when a day passes, then its token does not revive it."""
    token = replace(await _token(form), expires=int(form.clock.now) + 10 * 86_400)
    form.ledger._policy = replace(POLICY, session_ttl=30 * 86_400, refresh_ttl=10 * 86_400)  # type: ignore[attr-defined]
    form.clock.advance(3600)
    form.lose_everything()
    assert isinstance((await form.ledger.refresh(USER, token, "k")).result, Adopted)
    assert await form.ledger.end(USER, token, "revoked")
    form.clock.advance(2 * 86_400)
    await _token(form, "other")
    assert (await form.ledger.refresh(USER, token, "k")).result == Ended("revoked")


async def test_crowded_out_tombstones_stay_refused(form: Form) -> None:
    """given a family that was logged out, when fifty more begin and end within seconds, then it is still refused."""
    token = await _token(form)
    await form.ledger.end(USER, token, "revoked")
    for index in range(50):
        form.clock.advance(1)
        await _token(form, f"g{index:02}")
    assert (await form.ledger.refresh(USER, token, "k")).result == Unknown()


async def test_users_do_not_meet(form: Form) -> None:
    """The same family name under two users is two families, whatever the users are called."""
    names = ["a", "a}", "{a}", "a}{a", "", "ü", "a:b", "a b", "a\n", "%61"]
    tokens = {name: await _token(form, user=name) for name in names}
    for name, token in tokens.items():
        assert await form.ledger.end(name, token, "revoked")


async def test_grace_stands_still_while_redis_is_away(form: Form) -> None:
    """given an outage of ten minutes in the grace, then its 30 s run on afterwards, and not a millisecond longer."""
    token = await _token(form)
    rotated = (await form.ledger.refresh(USER, token, "k")).result
    assert isinstance(rotated, Rotated)
    form.clock.advance(620)
    retried = replace(token, pauses=((10_000, 600_000),))
    assert (await form.ledger.refresh(USER, retried, "k")).result == Replayed(rotated.family)
    form.clock.advance(10)
    retried = replace(token, pauses=((20_000, 600_000),))
    assert (await form.ledger.refresh(USER, retried, "k")).result == Replayed(rotated.family)
    form.clock.advance(0.001)
    retried = replace(token, pauses=((20_001, 600_000),))
    assert isinstance((await form.ledger.refresh(USER, retried, "k")).result, Reused)


async def test_a_pause_before_the_rotation_lends_no_grace(form: Form) -> None:
    """given an outage that ended before the rotation, then grace is what it always is."""
    token = await _token(form)
    form.clock.advance(700)
    await form.ledger.refresh(USER, token, "k")
    form.clock.advance(31)
    late = replace(token, pauses=((31_000, 600_000),))
    assert isinstance((await form.ledger.refresh(USER, late, "k")).result, Reused)


async def test_a_promise_binds_until_the_successor_is_used(form: Form) -> None:
    """given a token that was given back in its grace, then its successor is replayed later, and no more once used."""
    token = await _token(form)
    rotated = (await form.ledger.refresh(USER, token, "k")).result
    assert isinstance(rotated, Rotated)
    form.clock.advance(60)
    assert await form.ledger.keep(USER, replace(token, ago=40_000))
    assert not await form.ledger.keep(USER, replace(token, ago=40_000))
    form.clock.advance(3600)
    replayed = (await form.ledger.refresh(USER, token, "k")).result
    assert replayed == Replayed(replace(rotated.family, kept=True))
    await form.ledger.refresh(USER, _successor("f0", rotated.family), "k")
    assert isinstance((await form.ledger.refresh(USER, token, "k")).result, Reused)


async def test_a_promise_is_judged_by_the_time_it_was_made(form: Form) -> None:
    """A token that was spent for good when it came gains nothing, whether it is told later or comes again by itself."""
    token = await _token(form)
    await form.ledger.refresh(USER, token, "k")
    form.clock.advance(60)
    assert not await form.ledger.keep(USER, replace(token, ago=29_999))
    assert isinstance((await form.ledger.refresh(USER, replace(token, ago=30_000), "k")).result, Replayed)
    assert isinstance((await form.ledger.refresh(USER, replace(token, ago=29_999), "k")).result, Reused)


async def test_a_promise_counts_outages_up_to_when_it_was_made(form: Form) -> None:
    """given a token that came during an outage, then what stood still until then is taken off its age."""
    token = await _token(form)
    await form.ledger.refresh(USER, token, "k")
    form.clock.advance(2000)
    assert not await form.ledger.keep(USER, replace(token, ago=1000_000, pauses=((500_000, 1469_999),)))
    assert await form.ledger.keep(USER, replace(token, ago=1000_000, pauses=((500_000, 1470_000),)))


async def test_a_promise_changes_nothing_else(form: Form) -> None:
    """The current token, an older one, an ended family and an unknown one stay what they are."""
    token = await _token(form)
    assert not await form.ledger.keep(USER, token)
    second = (await form.ledger.refresh(USER, token, "k")).result
    assert isinstance(second, Rotated)
    await form.ledger.refresh(USER, _successor("f0", second.family), "k")
    assert not await form.ledger.keep(USER, token)
    await form.ledger.end(USER, token, "revoked")
    assert not await form.ledger.keep(USER, token)
    assert not await form.ledger.keep("nobody", token)
    assert (await form.ledger.refresh(USER, token, "k")).result == Ended("revoked")


async def test_rejected_losses(form: Form) -> None:
    """on_data_loss reject: an empty dataset knows no older family; a lost login of a minute ago is still adopted."""
    form.ledger._policy = replace(POLICY, adopt_lost=False)  # type: ignore[attr-defined]
    old = await _token(form, "old")
    form.clock.advance(3600)
    young = await _token(form, "young")
    degraded = replace(old, family="degraded", degraded=True)
    form.clock.advance(299)
    form.lose_everything()
    assert (await form.ledger.refresh(USER, old, "k")).result == Unknown()
    assert isinstance((await form.ledger.refresh(USER, young, "k")).result, Adopted)
    assert isinstance((await form.ledger.refresh(USER, degraded, "k")).result, Adopted)


async def test_what_the_backend_said_is_kept_beside_the_families(form: Form) -> None:
    """The last of it and when it was said; a user without a family keeps nothing; families do not mind it."""
    await form.ledger.remember(USER, '{"role":"none"}')
    assert await form.ledger.recall(USER) is None
    for index in range(5):
        await _token(form, f"f{index}")
        form.clock.advance(1)
        said = f'{{"role":"L:{index}:ü\\n"}}'
        await form.ledger.remember(USER, said)
        assert await form.ledger.recall(USER) == Remembered(int(form.clock.now), said)
    assert await form.ledger.recall("nobody") is None


async def test_an_empty_name_ends_nothing(form: Form) -> None:
    """given a live family, when one without a name is closed, then none was known and the family lives on."""
    await form.ledger.issue(USER, "a" * 24, "k", "")
    assert not await form.ledger.close(USER, "", "revoked")
    assert (await form.ledger.families(USER)).live.keys() == {"a" * 24}
