"""Cases of browsers and of OAuth clients, through every layer of the room on a real server."""

from __future__ import annotations

import json

import pytest

from tests.tokens.site import Site, forged
from tests.tokens.support import Outcome, Portal, TimedClient, generation, state_of

EVIL = (b"Origin", b"https://evil.example")


async def test_oauth2_speaks_rfc_6749(stage: tuple[Portal, TimedClient]) -> None:
    """given a login / when refreshed by a form / then RFC 6749's names both times, and the next generation."""
    site = Site(stage[0], dialect="oauth2")
    first = await site.post(b"/login")
    assert list(first.json) == ["user", "access_token", "refresh_token", "expires_in", "token_type"]
    second = await site.form(b"/refresh", grant_type="refresh_token", refresh_token=first.json["refresh_token"])
    assert set(second.json) == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert second.json["token_type"] == "Bearer"
    assert 0.95 * 900 <= second.json["expires_in"] <= 900
    assert site.portal.read(second.json["refresh_token"]).generation == 2


async def test_oauth2_has_one_answer_for_what_is_not_good(stage: tuple[Portal, TimedClient]) -> None:
    """given a forged, unknown, revoked, reused and expired token / when refreshed / then one 400 `invalid_grant`."""
    site = Site(stage[0], dialect="oauth2")

    async def login() -> str:
        return str((await site.post(b"/login")).json["refresh_token"])

    async def refresh(token: str) -> Outcome:
        return await site.form(b"/refresh", grant_type="refresh_token", refresh_token=token)

    old = await login()
    site.portal.clock.advance(604_799)
    revoked, reused = await login(), await login()
    await site.form(b"/logout", token=revoked)
    await refresh((await refresh(reused)).json["refresh_token"])
    answers = [await refresh(token) for token in (forged(reused), revoked, reused)]
    site.portal.clock.advance(1)
    answers.append(await refresh(old))
    unknown = await login()
    site.portal.clock.advance(600)
    stage[1].redis.delete("gw:t:{42}")
    answers.append(await refresh(unknown))
    assert {(answer.status, answer.content) for answer in answers} == {
        (400, b'{"error":"invalid_grant","error_description":"The refresh token is not valid."}')
    }


async def test_case_9_wrong_signature_by_form(stage: tuple[Portal, TimedClient]) -> None:
    """given the right id and a wrong signature / when refreshed / then `invalid_grant`, and the family is untouched."""
    site = Site(stage[0], dialect="oauth2")
    token = (await site.post(b"/login")).json["refresh_token"]
    before = state_of(stage[1])
    assert (await site.form(b"/refresh", grant_type="refresh_token", refresh_token=forged(token))).status == 400
    assert (state_of(stage[1]) == before) is True


@pytest.mark.parametrize("token", ["x" * 9000, "a.b.c\x00", "a.b.c\r\nSet-Cookie: x=1", "{}", "", "gw:t:{42}"])
async def test_case_35_what_is_no_token_by_form(stage: tuple[Portal, TimedClient], token: str) -> None:
    """given oversized, NUL, CRLF or other junk in a form / when refreshed / then `invalid_request`, no key is made."""
    site = Site(stage[0], dialect="oauth2")
    outcome = await site.form(b"/refresh", grant_type="refresh_token", refresh_token=token)
    assert (outcome.status, outcome.json["error"]) == (400, "invalid_request")
    assert stage[1].sent == []


async def test_a_revocation_is_a_logout(stage: tuple[Portal, TimedClient]) -> None:
    """given RFC 7009's form / when a token, an unknown one or none is revoked / then 200; a good one is ended."""
    site = Site(stage[0], dialect="oauth2")
    token = (await site.post(b"/login")).json["refresh_token"]
    for presented in (token, token, forged(token), "junk", ""):
        outcome = await site.form(b"/logout", token=presented, token_type_hint="refresh_token")
        assert (outcome.status, outcome.content) == (200, b"")
        assert outcome.header(b"cache-control") == b"no-store"
    assert (await site.form(b"/refresh", grant_type="refresh_token", refresh_token=token)).status == 400


@pytest.mark.parametrize("path", [b"/refresh?refresh_token=", b"/logout?token="])
async def test_case_36_a_token_in_the_query_of_oauth2(stage: tuple[Portal, TimedClient], path: bytes) -> None:
    """given a token in the URL / when refreshed or revoked / then `invalid_request`, and it stays good."""
    site = Site(stage[0], dialect="oauth2")
    token = (await site.post(b"/login")).json["refresh_token"]
    outcome = await site.post(path + token.encode())
    assert (outcome.status, outcome.json["error"]) == (400, "invalid_request")
    assert (token in repr(site.portal.events)) is False
    assert (await site.form(b"/refresh", grant_type="refresh_token", refresh_token=token)).status == 200


@pytest.mark.parametrize("carrier", ["json", "cookie", "both"])
async def test_case_38_no_store_in_oauth2(stage: tuple[Portal, TimedClient], carrier: str) -> None:
    """given every carrier / when login, refresh, refusal and logout answer / then none may be kept by a cache."""
    site = Site(stage[0], dialect="oauth2", carrier=carrier)
    first = await site.post(b"/login")
    token = first.cookies.get("refresh_token") or first.json["refresh_token"]
    answers = [first]
    for path in (b"/refresh", b"/refresh", b"/logout", b"/refresh"):
        if carrier == "cookie":
            answers.append(await site.by_cookie(path, token))
        else:
            answers.append(await site.form(path, grant_type="refresh_token", refresh_token=token, token=token))
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 400]
    assert {answer.header(b"cache-control") for answer in answers} == {b"no-store"}
    assert {answer.header(b"pragma") for answer in answers if answer.content} == {b"no-cache"}


async def test_both_serves_scripts_and_browsers(stage: tuple[Portal, TimedClient]) -> None:
    """given carrier both / when a login's token is refreshed by JSON, then by cookie / then each brings both forms."""
    site = Site(stage[0], carrier="both")
    first = await site.post(b"/login")
    assert (first.json["refreshToken"] == first.cookies["refresh_token"]) is True
    second = await site.by_json(b"/refresh", first.token)
    third = await site.by_cookie(b"/refresh", second.token)
    assert (generation(site.portal, second), generation(site.portal, third)) == (2, 3)
    assert (third.json["refreshToken"] == third.cookies["refresh_token"]) is True


async def test_both_takes_the_body_at_its_word(stage: tuple[Portal, TimedClient]) -> None:
    """given two tokens in one request / when refreshed / then the body's is rotated, the cookie's is not spent."""
    site = Site(stage[0], carrier="both")
    body, cookie = (await site.post(b"/login")).token, (await site.post(b"/login")).token
    field = (b"Cookie", b"refresh_token=" + cookie.encode())
    outcome = await site.post(b"/refresh", json.dumps({"refreshToken": body}).encode(), field)
    assert site.portal.read(outcome.token).family == site.portal.read(body).family
    assert generation(site.portal, await site.by_cookie(b"/refresh", cookie)) == 2


async def test_case_33_a_stale_duplicate_of_the_same_family(stage: tuple[Portal, TimedClient]) -> None:
    """given a host-only cookie left from before `Domain` beside the current one / when refreshed in either order, long
    after grace / then the current one counts, and nobody is taken for a thief."""
    site = Site(stage[0], carrier="cookie")
    stale = (await site.post(b"/login")).token
    current = (await site.by_cookie(b"/refresh", stale)).token
    for order, number in ((True, 3), (False, 4)):
        site.portal.clock.advance(60)
        pair = (stale, current) if order else (current, stale)
        outcome = await site.by_cookie(b"/refresh", *pair)
        assert generation(site.portal, outcome) == number
        current = outcome.token


async def test_case_33_a_logout_ends_every_duplicate(stage: tuple[Portal, TimedClient]) -> None:
    """given cookies of two families under one name / when logged out / then both are ended: one would be a session."""
    site = Site(stage[0], carrier="cookie")
    tokens = [(await site.post(b"/login")).token for _ in range(2)]
    assert (await site.by_cookie(b"/logout", "junk", *tokens)).status == 204
    assert [(await site.by_cookie(b"/refresh", token)).status for token in tokens] == [401, 401]


@pytest.mark.parametrize("number", [8, 1000])
async def test_case_33_junk_like_a_jwt_hides_no_token(stage: tuple[Portal, TimedClient], number: int) -> None:
    """given many cookies like a JWT, forged ones too, before the good one / when refreshed and logged out /
    then the good one counts, and its session is ended."""
    site = Site(stage[0], carrier="cookie")
    token = (await site.post(b"/login")).token
    head, body, _ = token.split(".")
    junk = [f"a{index}.b.c" for index in range(number)]
    junk += [f"{head}.{body}.{index:043}" for index in range(20)]
    refreshed = await site.by_cookie(b"/refresh", *junk, token)
    assert (refreshed.status, generation(site.portal, refreshed)) == (200, 2)
    assert (await site.by_cookie(b"/logout", *junk, refreshed.token)).status == 204
    assert (await site.by_cookie(b"/refresh", refreshed.token)).status == 401


@pytest.mark.parametrize("carrier", ["cookie", "both"])
@pytest.mark.parametrize("path", [b"/refresh", b"/logout", b"/login"])
@pytest.mark.parametrize("said", [EVIL, (b"Origin", b"null"), (b"Sec-Fetch-Site", b"cross-site")], ids=str)
async def test_case_34_cross_site(
    stage: tuple[Portal, TimedClient], carrier: str, path: bytes, said: tuple[bytes, bytes]
) -> None:
    """given a page of another origin / when it has the browser send the cookie / then 403: unspent, uncleared, unseen
    by the backend; and the portal's own page goes on."""
    site = Site(stage[0], carrier=carrier)
    token = (await site.post(b"/login")).token
    before, logins = state_of(stage[1]), len(site.portal.backend.seen)
    outcome = await site.by_cookie(path, token, headers=[said])
    assert (outcome.status, outcome.code, outcome.cookies) == (403, "forbidden-origin", {})
    assert (state_of(stage[1]) == before, len(site.portal.backend.seen)) == (True, logins)
    own = await site.by_cookie(b"/refresh", token, headers=[(b"Origin", b"http://portal.example")])
    assert generation(site.portal, own) == 2


async def test_a_foreign_page_plants_no_cookie(stage: tuple[Portal, TimedClient]) -> None:
    """given carrier both / when another origin's page logs in or refreshes with a token it has / then JSON alone."""
    site = Site(stage[0], carrier="both")
    first = await site.post(b"/login", b"", EVIL)
    assert (first.status, first.cookies) == (200, {})
    content = json.dumps({"refreshToken": first.token}).encode()
    assert ((await site.post(b"/refresh", content, EVIL)).cookies, generation(site.portal, first)) == ({}, 1)
    refused = await site.post(b"/refresh", json.dumps({"refreshToken": forged(first.token)}).encode(), EVIL)
    assert (refused.status, refused.cookies) == (401, {})


async def test_the_refresh_cookie_stays_here(stage: tuple[Portal, TimedClient]) -> None:
    """given carrier cookie / when any request is forwarded, a login too / then without the refresh cookie alone."""
    site = Site(stage[0], carrier="cookie")
    field = (b"Cookie", b"theme=dark; refresh_token=hush-r; access_token=hush-a")
    await site.post(b"/login", b"", field)
    await site.post(b"/profile", b"", field)
    login, profile = site.portal.backend.seen
    for seen in (login, profile):
        assert (b"Cookie", b"theme=dark; access_token=hush-a") in seen.headers
