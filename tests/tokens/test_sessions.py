"""A user's sessions, through the layer, on both forms of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.exchange import Buffered, Exchange
from gateway.settings import RoutePattern
from gateway.tokens.abuse import BURST
from gateway.tokens.claims import Login
from gateway.tokens.events import AttemptFailed, Audit, TokenOperation
from gateway.tokens.layer import TokensLayer
from gateway.tokens.legacy import Legacy
from gateway.tokens.memory import MemoryLedger
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Presented, Unknown
from gateway.tokens.sessions import session_routes
from gateway.wire.routes import any_of, exactly
from tests.support.valkey import ValkeyServer
from tests.tokens.support import AwayLedger, Outcome, Portal, SetClock, TimedClient, token_settings

PATH = "/api/auth/sessions"
ROUTES = {"routes": {"sessions": PATH}}


class OldTokensDouble:
    """Notes whose old sessions are ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.away = False

    async def place(self, user: str, presented: Presented, old: Legacy) -> Any:
        return Unknown()

    async def end_all(self, user: str) -> int:
        if self.away:
            raise StoreUnavailable("other", "away")
        self.ended.append(user)
        return 1


class SessionsPortal(Portal):
    """A portal with sessions routes, spelled as the edge spells them."""

    def __init__(self, ledger: Any, clock: SetClock, **changes: Any) -> None:
        super().__init__(ledger, clock, **ROUTES, **changes)
        self.old = OldTokensDouble()
        matcher = {name: any_of([RoutePattern("POST", f"/{name}")]) for name in ("login", "refresh", "logout")}
        self.layer = TokensLayer(
            self.settings,
            ledger,
            **matcher,
            emit=self.events.append,
            clock=clock,
            sessions=session_routes(self.settings.routes, any_of, exactly),
            old_tokens=self.old,
        )

    async def ask(self, method: str, access: str | None, path: str = PATH, **headers: str) -> Outcome:
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        if access is not None:
            fields.append((b"Authorization", f"Bearer {access}".encode()))
        return await self.send(Exchange(method, path.encode(), fields, client="198.51.100.9"))

    async def listed(self, access: str) -> list[dict[str, Any]]:
        outcome = await self.ask("GET", access)
        assert outcome.status == 200
        assert outcome.header(b"cache-control") == b"no-store"
        sessions: list[dict[str, Any]] = outcome.json["sessions"]
        return sessions


@pytest.fixture(params=["memory", "redis"])
def portal(request: pytest.FixtureRequest, shared_valkey: ValkeyServer) -> Iterator[SessionsPortal]:
    """Give a portal on the memory form, then on the Redis form."""
    clock = SetClock()
    policy = token_settings().policy
    if request.param == "memory":
        yield SessionsPortal(MemoryLedger(policy, clock), clock)
        return
    client = TimedClient(shared_valkey, clock)
    yield SessionsPortal(RedisLedger(client, policy, clock=clock), clock)  # type: ignore[arg-type]
    client.close()


async def test_a_user_sees_its_sessions(portal: SessionsPortal) -> None:
    """Each with its beginning, last use, device and network, the one used last first, and the caller's own marked."""
    phone = await portal.login(agent="phone")
    await portal.login("somebody else")
    portal.clock.advance(60)
    laptop = await portal.login(agent="laptop")
    portal.clock.advance(60)
    phone = await portal.refresh(phone.token)
    family, other = (portal.read(outcome.token).family for outcome in (phone, laptop))
    assert await portal.listed(phone.access) == [
        {
            "family": family,
            "created": "2027-01-15T08:00:00Z",
            "lastUsed": "2027-01-15T08:02:00Z",
            "device": "phone",
            "ipPrefix": "192.0.2.0/24",
            "current": True,
        },
        {
            "family": other,
            "created": "2027-01-15T08:01:00Z",
            "lastUsed": "2027-01-15T08:01:00Z",
            "device": "laptop",
            "ipPrefix": "192.0.2.0/24",
            "current": False,
        },
    ]
    assert portal.backend.seen[-1].target == b"/login"


async def test_one_session_is_ended(portal: SessionsPortal) -> None:
    """DELETE with its name: 204, its tokens are no good any more, the others live on, and the trail says who it was."""
    phone, laptop = await portal.login(agent="phone"), await portal.login(agent="laptop")
    family = portal.read(laptop.token).family
    outcome = await portal.ask("DELETE", phone.access, f"{PATH}/{family}", **{"User-Agent": "phone"})
    assert (outcome.status, outcome.content, outcome.header(b"cache-control")) == (204, b"", b"no-store")
    assert Audit("revoke", "revoked", "42", family, "", "phone", "198.51.100.0/24") in portal.reported(Audit)
    assert TokenOperation("revoke", "ok") in portal.reported(TokenOperation)
    assert (await portal.refresh(laptop.token)).status == 401
    assert [session["family"] for session in await portal.listed(phone.access)] == [portal.read(phone.token).family]
    assert (await portal.refresh(phone.token)).status == 200


async def test_ending_a_session_may_be_repeated(portal: SessionsPortal) -> None:
    """given a lost answer, when DELETE comes again, then it is 204 again."""
    phone, laptop = await portal.login(), await portal.login()
    path = f"{PATH}/{portal.read(laptop.token).family}"
    assert [(await portal.ask("DELETE", phone.access, path)).status for _ in range(2)] == [204, 204]


@pytest.mark.parametrize("name", ["f" * 24, "floor", "claims", "%66" * 24, "x", "..%2fx"])
async def test_a_session_of_nobody_is_not_found(portal: SessionsPortal, name: str) -> None:
    """404, and nothing is ended."""
    login = await portal.login()
    outcome = await portal.ask("DELETE", login.access, f"{PATH}/{name}")
    assert (outcome.status, outcome.code) == (404, "not-found")
    assert (await portal.refresh(login.token)).status == 200


async def test_a_session_of_somebody_else_is_not_found(portal: SessionsPortal) -> None:
    """given another user's family, when it is deleted, then 404, and it lives on."""
    login, other = await portal.login(), await portal.login("somebody else")
    outcome = await portal.ask("DELETE", login.access, f"{PATH}/{portal.read(other.token).family}")
    assert outcome.status == 404
    assert (await portal.refresh(other.token)).status == 200


async def test_all_sessions_are_ended(portal: SessionsPortal) -> None:
    """DELETE without a name: 204, none of the user's tokens is good any more, old ones included; others' are."""
    logins, other = [await portal.login() for _ in range(3)], await portal.login("somebody else")
    assert (await portal.ask("DELETE", logins[0].access)).status == 204
    assert [(await portal.refresh(login.token)).status for login in logins] == [401] * 3
    assert portal.old.ended == ["42"]
    assert [event.outcome for event in portal.reported(Audit) if event.action == "revoke"] == ["revoked-all"] * 3
    assert (await portal.refresh(other.token)).status == 200
    portal.clock.advance(1)
    assert (await portal.refresh((await portal.login()).token)).status == 200


async def test_what_ended_is_in_the_trail_although_the_old_sessions_did_not(portal: SessionsPortal) -> None:
    """given old sessions that cannot be ended, then 503, not counted as done, and each family that ended is audited."""
    login = await portal.login()
    portal.old.away = True
    assert (await portal.ask("DELETE", login.access)).status == 503
    audits = [event for event in portal.reported(Audit) if event.action == "revoke"]
    assert [(event.outcome, event.family) for event in audits] == [("revoked-all", portal.read(login.token).family)]
    revokes = [event for event in portal.reported(TokenOperation) if event.operation == "revoke"]
    assert revokes == [TokenOperation("revoke", "redis_required")]


async def test_nothing_unknown_is_adopted_after_all_were_ended(portal: SessionsPortal) -> None:
    """given a login that only another replica's failover remembers, when all were ended, then it is not adopted."""
    lost = await portal.login()
    if isinstance(portal.ledger, MemoryLedger):
        portal.ledger.users.clear()
    else:
        portal.ledger._client.redis.flushall()  # type: ignore[attr-defined]
    login = await portal.login()
    assert (await portal.ask("DELETE", login.access)).status == 204
    portal.clock.advance(1)
    assert (await portal.refresh(lost.token)).status == 401


async def test_an_ended_session_looks_at_nothing(portal: SessionsPortal) -> None:
    """given an access token that has not run out, when its session was ended, then 401, and it ends nothing."""
    stolen, phone = await portal.login(), await portal.login()
    await portal.ask("DELETE", phone.access, f"{PATH}/{portal.read(stolen.token).family}")
    assert [(await portal.ask(method, stolen.access)).status for method in ("GET", "DELETE")] == [401, 401]
    assert (await portal.refresh(phone.token)).status == 200


async def test_only_a_good_access_token_asks(portal: SessionsPortal) -> None:
    """None, another scheme, a refresh token, a broken or an expired one: 401 with a challenge, no cookie is cleared."""
    login = await portal.login()
    asked = [
        await portal.ask("GET", None),
        await portal.ask("GET", None, Authorization=f"Basic {login.access}"),
        await portal.ask("GET", login.token),
        await portal.ask("GET", login.access[:-6] + "AAAAAA"),
        await portal.ask("GET", login.access, Authorization=f"Bearer {login.access}"),
    ]
    portal.clock.advance(900)
    asked.append(await portal.ask("GET", login.access))
    for outcome in asked:
        assert (outcome.status, outcome.code) == (401, "invalid-token")
        assert outcome.header(b"www-authenticate") == b"Bearer"
        assert outcome.header(b"set-cookie") is None


async def test_an_ambiguous_spelling_ends_nothing(portal: SessionsPortal) -> None:
    """given a target that one server reads as all sessions and another does not, then 404; never forwarded."""
    login = await portal.login()
    for path in (f"{PATH}/x/..", f"{PATH}%2f..%2fsessions", f"{PATH}%252f{'a' * 24}"):
        assert (await portal.ask("DELETE", login.access, path)).status == 404
    assert (await portal.refresh(login.token)).status == 200
    assert all(seen.target == b"/login" for seen in portal.backend.seen)


async def test_other_methods_are_the_backends(portal: SessionsPortal) -> None:
    """A preflight, or a POST, passes."""
    for method in ("OPTIONS", "POST"):
        await portal.ask(method, None)
    assert [seen.method for seen in portal.backend.seen] == ["OPTIONS", "POST"]


async def test_a_cookie_speaks_for_its_user_where_tokens_travel_so() -> None:
    """given the cookie carrier, then the access cookie is as good as the field; of the json carrier it is not."""
    clock = SetClock()
    for carrier, status in (("cookie", 200), ("both", 200), ("json", 401)):
        portal = SessionsPortal(MemoryLedger(token_settings().policy, clock), clock, carrier=carrier)
        portal.backend.knows("42")
        login = await portal.send(Exchange("POST", b"/login", client="192.0.2.77"))
        access = login.cookies["access_token"] if carrier != "json" else login.access
        assert (await portal.ask("GET", None, Cookie=f"a=b; access_token={access}")).status == status


@pytest.mark.parametrize(("which", "cleared"), [("own", True), ("other", False), ("all", True)])
async def test_cookies_go_with_the_session_they_belong_to(which: str, cleared: bool) -> None:
    """given the cookie carrier, when the caller's own session ends, then its cookies end with it, else they stay."""
    clock = SetClock()
    portal = SessionsPortal(MemoryLedger(token_settings().policy, clock), clock, carrier="cookie")
    portal.backend.knows("42")
    logins = [await portal.send(Exchange("POST", b"/login", client="192.0.2.77")) for _ in range(2)]
    own, other = (f"{PATH}/{portal.read(login.cookies['refresh_token']).family}" for login in logins)
    path = {"own": own, "other": other, "all": PATH}[which]
    outcome = await portal.ask("DELETE", logins[0].cookies["access_token"], path)
    assert (outcome.status, outcome.cookies) == (204, {"access_token": "", "refresh_token": ""} if cleared else {})


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_without_redis_nothing_is_known(method: str) -> None:
    """503, strict or not; nobody is told that there are no sessions."""
    portal = SessionsPortal(AwayLedger(), SetClock())
    now = int(portal.clock.now)
    outcome = await portal.ask(method, portal.mint.access(Login("42"), now, now + 900, family="f" * 24))
    assert (outcome.status, outcome.code) == (503, "redis-required")
    assert portal.reported(TokenOperation) == [TokenOperation("revoke", "redis_required")]


async def test_a_body_is_not_waited_for(portal: SessionsPortal) -> None:
    """A DELETE with content is answered without reading it."""
    login = await portal.login()
    fields = [(b"Authorization", f"Bearer {login.access}".encode())]
    outcome = await portal.send(Exchange("DELETE", PATH.encode(), fields, Buffered(b"{}")))
    assert outcome.status == 204


def test_without_a_path_there_are_no_routes() -> None:
    """The default has no sessions routes; with a path they are among the token routes, closed by maintenance too."""
    assert session_routes(token_settings().routes, any_of, exactly) is None
    routes = token_settings(**ROUTES).routes
    assert [str(route) for route in routes.all()[-3:]] == [f"GET {PATH}", f"DELETE {PATH}", f"DELETE {PATH}/*"]


async def test_guesses_at_the_sessions_are_limited(portal: SessionsPortal) -> None:
    """given access tokens of nobody's making, when there are too many, then 429 with the time to wait, for a refresh
    from there too; a good token is still served, and elsewhere a guess is a 401."""
    login = await portal.login()
    guess = login.access[:-6] + "AAAAAA"
    assert {(await portal.ask("GET", guess)).status for _ in range(BURST)} == {401}
    limited = await portal.ask("DELETE", guess)
    assert (limited.status, limited.code) == (429, "too-many-attempts")
    told = [(event.action, event.outcome) for event in portal.reported(AttemptFailed)]
    assert told == [("sessions", "invalid")] * BURST + [("sessions", "too-many-attempts")]
    refresh = portal.request(b"/refresh", login.token[:-6] + "AAAAAA")
    refresh.client = "198.51.100.9"
    assert (await portal.send(refresh)).status == 429
    assert len(await portal.listed(login.access)) == 1
    assert (await portal.refresh(login.token[:-6] + "AAAAAA")).status == 401


@pytest.mark.parametrize("kind", ["none", "junk", "expired", "ended", "expired beside a forged one"])
async def test_what_was_good_once_or_is_no_token_is_no_guess_at_the_sessions(kind: str) -> None:
    """given no token, a placeholder of a script, or one that was good once, when it comes in numbers, then 401 each."""
    clock = SetClock()
    portal = SessionsPortal(MemoryLedger(token_settings().policy, clock), clock, carrier="both")
    login = await portal.login()
    if kind == "ended":
        await portal.ledger.close("42", portal.read(login.token).family, "revoked")
    elif "expired" in kind:
        clock.advance(900)
    cookies = f"access_token={login.access}; access_token={login.access[:-6]}AAAAAA"
    for _ in range(BURST + 1):
        if "beside" in kind:
            outcome = await portal.ask("GET", None, Cookie=cookies)
        else:
            outcome = await portal.ask("GET", {"none": None, "junk": "undefined"}.get(kind, login.access))
        assert outcome.status == 401
