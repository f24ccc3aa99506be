"""How long tokens live: idle, absolute, and access tokens that do not all end at once."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import header_values
from gateway.tokens.memory import MemoryLedger
from gateway.tokens.rotation import Family, Granted, Policy, Presented, decide
from tests.tokens.support import START, Outcome, Portal, SetClock, token_settings

DAY = 86_400


def _portal(**changes: Any) -> Portal:
    clock = SetClock()
    return Portal(MemoryLedger(token_settings(**changes).policy, clock), clock, **changes)


def _lifetime(outcome: Outcome, token: str) -> int:
    payload = jwt.decode(token, options={"verify_signature": False})
    return int(payload["exp"] - payload["iat"])


async def test_access_tokens_of_one_moment_do_not_end_together() -> None:
    """Up to 5 % shorter than configured, never longer, and `expiresIn` says what the token says."""
    portal = _portal()
    token = (await portal.login()).token
    outcomes = [await portal.refresh(token) for _ in range(300)]
    lifetimes = {_lifetime(outcome, outcome.access) for outcome in outcomes}
    assert 855 <= min(lifetimes) <= 860
    assert 895 <= max(lifetimes) <= 900
    assert len(lifetimes) > 30
    assert all(outcome.json["expiresIn"] == _lifetime(outcome, outcome.access) for outcome in outcomes)


async def test_a_cookie_goes_with_its_token() -> None:
    """Max-Age of the access cookie is the lifetime of that very token."""
    portal = _portal(carrier="cookie")
    outcome = await portal.login()
    lifetime = _lifetime(outcome, outcome.cookies["access_token"])
    cookies = header_values(outcome.headers, b"set-cookie")
    assert any(value.startswith(b"access_token=") and b"Max-Age=%d;" % lifetime in value for value in cookies)


@pytest.mark.parametrize(("ttl", "shortest"), [("1s", 1), ("10s", 10), ("20s", 19), ("1h", 3420)])
async def test_short_lives_are_not_shortened_to_nothing(ttl: str, shortest: int) -> None:
    """Whole seconds: below 20 s there is no room for 5 %."""
    portal = _portal(access_ttl=ttl)
    token = (await portal.login()).token
    lifetimes = [(await portal.refresh(token)).json["expiresIn"] for _ in range(100)]
    assert shortest <= min(lifetimes) <= max(lifetimes) <= token_settings(access_ttl=ttl).access_ttl


async def test_a_replay_may_bring_another_access_token_but_never_another_refresh_token() -> None:
    """The jitter is the access token's alone: what the record says decides on the other."""
    portal = _portal()
    token = (await portal.login()).token
    outcomes = [await portal.refresh(token) for _ in range(20)]
    assert len({outcome.token for outcome in outcomes}) == 1
    assert len({outcome.access for outcome in outcomes}) == 20


async def test_idle_time_counts_from_the_last_rotation_and_not_from_a_replay() -> None:
    """given a rotation and its replay later, then both bring a token that ends at the same time."""
    portal = _portal(refresh_ttl="1h", session_ttl="1d")
    first = await portal.login()
    portal.clock.advance(3570)
    second = await portal.refresh(first.token)
    portal.clock.advance(20)
    again = await portal.refresh(first.token)
    assert {portal.read(outcome.token).expires for outcome in (second, again)} == {START + 3570 + 3600}
    portal.clock.advance(3579)
    assert (await portal.refresh(second.token)).status == 200
    portal.clock.advance(3600)
    assert (await portal.refresh(second.token)).status == 401


@given(
    auth=st.integers(0, 60 * DAY),
    age=st.integers(0, 60 * DAY),
    generation=st.integers(1, 4),
    refresh_ttl=st.integers(1, 20 * DAY),
    session_ttl=st.integers(1, 40 * DAY),
    known=st.booleans(),
)
def test_nothing_outlives_its_session(
    auth: int, age: int, generation: int, refresh_ttl: int, session_ttl: int, known: bool
) -> None:
    """Whatever is granted ends at the session's end at the latest, and within the idle time from its own rotation."""
    policy, now = Policy(refresh_ttl, session_ttl), 1000 * (auth + age)
    begun = policy.expiry(1000 * auth, auth)
    record = Family(2, "k", now - 1000, auth, min(begun + refresh_ttl, auth + session_ttl)) if known else None
    token = Presented("f", generation, auth, auth, begun + refresh_ttl, degraded=True)
    result = decide(record, token, now, policy, "k")
    if isinstance(result, Granted):
        assert now < 1000 * (auth + session_ttl)
        assert result.family.expires <= auth + session_ttl
        assert result.family.expires <= result.family.rotated_ms // 1000 + refresh_ttl or result.family == record
