"""Cases 33 to 38: what requests may look like, and what answers say, through the layer on a real server."""

from __future__ import annotations

import pytest

from gateway.exchange import Buffered, Exchange
from gateway.tokens.events import TokenOperation
from tests.tokens.support import Portal, TimedClient, another_gateway, generation


async def test_case_33_duplicate_cookies(stage: tuple[Portal, TimedClient]) -> None:
    """given several cookies of the name / when refreshed / then the newest of ours counts, wherever it stands."""
    portal = another_gateway(stage[0], carrier="cookie")
    old = (await portal.login()).token
    portal.clock.advance(60)
    new = (await portal.login()).token
    newest = portal.read(new).family
    for order in ([old, new, "junk"], ["junk", new, old]):
        line = "; ".join(f"refresh_token={token}" for token in order).encode()
        outcome = await portal.send(Exchange("POST", b"/refresh", [(b"Cookie", line)]))
        assert portal.read(outcome.token).family == newest
    assert generation(portal, await portal.refresh(old)) == 2


@pytest.mark.parametrize(
    "token",
    ["x" * 9000, "a.b.c\x00", "a.b.c\r\nSet-Cookie: x=1", "{}", "", {}, [], ["a.b.c"], 5, True, None, "gw:t:{42}"],
    ids=range(12),
)
async def test_case_35_what_is_no_token(stage: tuple[Portal, TimedClient], token: object) -> None:
    """given oversized, NUL, CRLF, an object, array or number as token / then 400, no key and no trail of it."""
    portal, client = stage
    outcome = await portal.refresh(token)
    assert (outcome.status, outcome.code) == (400, "invalid-request")
    assert client.sent == []
    assert portal.events == [TokenOperation("refresh", "malformed")]


@pytest.mark.parametrize("carrier", ["json", "cookie"])
async def test_case_36_a_token_in_the_query(stage: tuple[Portal, TimedClient], carrier: str) -> None:
    """given a token in the query string / when refreshed or logged out / then refused, unspent, in no event."""
    portal = another_gateway(stage[0], carrier=carrier)
    token = (await portal.login()).token
    for path in (b"/refresh?refreshToken=", b"/logout?a=b&refresh_token="):
        exchange = portal.request(path + token.encode(), token)
        assert (await portal.send(exchange)).status == 400
    assert (token in repr(portal.events)) is False
    assert generation(portal, await portal.refresh(token)) == 2


@pytest.mark.parametrize("token", ["unknown", "forged", "missing", "junk"])
@pytest.mark.parametrize("carrier", ["json", "cookie"])
async def test_case_37_a_logout_without_a_good_token(
    stage: tuple[Portal, TimedClient], token: str, carrier: str
) -> None:
    """given an unknown, forged or missing token / when it logs out / then 204, and cookies are cleared."""
    portal = another_gateway(stage[0], carrier=carrier)
    good = (await portal.login()).token
    stage[1].redis.flushall()
    presented = {"unknown": good, "forged": good[:-4] + "AAAA", "missing": "", "junk": "a\x00b"}[token]
    outcome = await portal.logout(presented)
    assert outcome.status == 204
    assert len(outcome.cookies) == (2 if carrier == "cookie" else 0)


async def test_case_37_a_logout_of_an_unknown_family_is_kept(stage: tuple[Portal, TimedClient]) -> None:
    """given an empty restart / when a user logs out and the token comes again / then it is not adopted."""
    portal, client = stage
    first = await portal.login()
    client.redis.flushall()
    assert (await portal.logout(first.token)).status == 204
    assert (await portal.refresh(first.token)).status == 401


@pytest.mark.parametrize("carrier", ["json", "cookie"])
async def test_case_38_no_store(stage: tuple[Portal, TimedClient], carrier: str) -> None:
    """given login, refresh, replay and logout / when they answer / then none may be kept by a cache."""
    portal = another_gateway(stage[0], carrier=carrier)
    first = await portal.login()
    answers = [first, await portal.refresh(first.token), await portal.refresh(first.token)]
    answers.append(await portal.logout(first.token))
    assert [answer.header(b"cache-control") for answer in answers] == [b"no-store"] * 4


async def test_a_body_is_needed_for_nothing_in_cookie_mode(stage: tuple[Portal, TimedClient]) -> None:
    """given a token in the body only / when cookies are configured / then it counts as missing."""
    portal = another_gateway(stage[0], carrier="cookie")
    token = (await portal.login()).token
    body = Buffered(b'{"refreshToken":"' + token.encode() + b'"}')
    assert (await portal.send(Exchange("POST", b"/refresh", [], body))).status == 400
