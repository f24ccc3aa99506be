"""`mode: guard` in front of an OAuth server: clients that prove who they are, and one endpoint for all grants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode

import pytest

from gateway.exchange import Buffered, Exchange, Headers, Reply, header, read_all
from gateway.tokens.events import AttemptFailed, Audit, ReuseDetected
from tests.tokens.guard_support import Gate, faulty_store, memory_store, running
from tests.tokens.support import Outcome, SetClock

FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
OURS, THEIRS = (b"Authorization", b"Basic b3VyczpodXNoLQ=="), (b"Authorization", b"Basic dGhlaXJzOmh1c2gt")


class Server:
    """Mints opaque tokens for one client, and rotates them."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.seen: list[dict[str, list[str]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.at_once = self.most_at_once = 0
        self._made = 0

    async def handle(self, exchange: Exchange) -> Reply:
        form = parse_qs((await read_all(exchange.body, 2_000_000)).decode())
        self.seen.append(form)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1
        if header(exchange.headers, b"authorization") != OURS[1]:
            return self._reply(401, {"error": "invalid_client"})
        match form["grant_type"]:
            case ["client_credentials"]:
                return self._reply(200, {"access_token": "hush-machine"})
            case ["refresh_token"] if form["refresh_token"][0] not in self.valid:
                return self._reply(400, {"error": "invalid_grant"})
            case ["refresh_token"]:
                self.valid.remove(form["refresh_token"][0])
        self._made += 1
        token = f"hush-granted-{self._made}"
        self.valid.add(token)
        return self._reply(200, {"access_token": "hush-access", "refresh_token": token, "n": len(self.seen)})

    def _reply(self, status: int, content: dict[str, object]) -> Reply:
        headers: Headers = [(b"Content-Type", b"application/json")]
        return Reply(status, headers, Buffered(json.dumps(content).encode()))

    @property
    def refreshes(self) -> list[str]:
        return [form["refresh_token"][0] for form in self.seen if form["grant_type"] == ["refresh_token"]]


class House:
    """A gateway in front of a server with one endpoint."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.server = Server()
        _, self.ledger = memory_store(self.clock)
        self.store = faulty_store(self.ledger, self.clock)
        self.gate = Gate(self.store, self.server.handle, clock=self.clock, dialect="oauth2")
        self.gate.layer._is_login = self.gate.layer._is_refresh = lambda exchange: exchange.target.startswith(b"/token")

    async def ask(self, grant: str = "refresh_token", *fields: tuple[bytes, bytes], **form: str) -> Outcome:
        content = urlencode({"grant_type": grant, **form}).encode()
        return await self.raw(content, *(fields or (OURS,)))

    async def raw(self, content: bytes, *fields: tuple[bytes, bytes], target: bytes = b"/token") -> Outcome:
        exchange = Exchange("POST", target, [FORM, *fields], Buffered(content), client="192.0.2.77")
        return await self.gate.send(exchange)

    async def login(self) -> str:
        return str((await self.ask("password", username="ann", password="hush-pass")).json["refresh_token"])


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Give a gateway that runs."""
    house = House()
    async with running(house.gate):
        yield house


async def test_one_endpoint_for_all_grants(house: House) -> None:
    """A login begins a family, a refresh is guarded, a grant without a refresh token passes and begins nothing."""
    first = await house.login()
    second = await house.ask(refresh_token=first)
    assert (await house.ask(refresh_token=first)).content == second.content
    code = await house.ask("authorization_code", code="hush-code")
    assert code.json["refresh_token"] in house.server.valid
    assert (await house.ask("client_credentials")).json == {"access_token": "hush-machine"}
    house.clock.advance(31)
    assert (await house.ask(refresh_token=first)).status == 401  # `around_tokens` words it
    assert (await house.ask(refresh_token=second.json["refresh_token"])).code == "invalid-token"
    assert house.server.refreshes == [first]
    assert house.gate.results("issue") == ["ok", "ok"]
    assert house.gate.results() == ["rotated", "replayed", "reused", "ended"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"refresh_token=hush-spent",
        b"grant_type=password&grant_type=refresh_token&refresh_token=hush-spent",
        b"grant_type=Refresh_Token&refresh_token=hush-spent",
        b"grant_type=refresh_token&refresh_token=hush-spent&refresh_token=hush-other",
        b"grant_type=refresh_token&refresh_token=hush-other;refresh_token=hush-spent",
        b"grant_type=refresh_token&refresh_token=" + b"x" * 20_000,
        b"grant_type=password&x=" + b"x" * 1_100_000,
    ],
    ids=range(8),
)
async def test_no_refresh_passes_as_something_else(house: House, content: bytes) -> None:
    """What could be read as a refresh of another token, or of one that nobody judged, does not reach the server."""
    assert (await house.raw(content, OURS)).code == "invalid-request"
    assert (await house.raw(b"grant_type=password", OURS, target=b"/token?grant_type=refresh_token")).status == 400
    assert house.server.seen == []


async def test_a_large_grant_passes(house: House) -> None:
    """A signed statement of somebody else may be larger than any token."""
    assert (await house.ask("urn:ietf:params:oauth:grant-type:saml2-bearer", assertion="x" * 50_000)).status == 200


@pytest.mark.parametrize("fields", [(), (THEIRS,)], ids=["none", "another"])
async def test_a_kept_answer_is_for_its_client(house: House, fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """given a token without its client's proof, then the server judges it, and the client's retry is answered as
    before; there is no alarm."""
    first = await house.login()
    second = await house.ask(refresh_token=first)
    form = urlencode({"grant_type": "refresh_token", "refresh_token": first}).encode()
    assert (await house.raw(form, *fields)).json == {"error": "invalid_client"}
    assert (await house.ask(refresh_token=first)).content == second.content
    assert house.server.refreshes == [first, first]
    assert house.gate.reported(ReuseDetected) == []


async def test_a_flight_is_for_its_client(house: House) -> None:
    """given a refresh under way, when somebody else presents the token, then the server is asked about that alone
    afterwards, and whoever proves the same shares the flight."""
    first = await house.login()
    house.server.open.clear()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(house.ask("refresh_token", *fields, refresh_token=first)) for fields in
                 ((OURS,), (THEIRS,), (OURS,), (THEIRS,))]  # fmt: skip
        await asyncio.sleep(0.01)
        assert house.server.refreshes == [first]
        house.server.open.set()
    ours, theirs = asked[0].result(), asked[1].result()
    assert (ours.status, theirs.json) == (200, {"error": "invalid_client"})
    assert [task.result().content for task in asked[2:]] == [ours.content, theirs.content]
    assert house.server.refreshes == [first, first]
    assert house.server.most_at_once == 1
    assert house.gate.reported(ReuseDetected) == []


async def test_an_answer_that_is_owed_is_for_its_client(house: House) -> None:
    """given Redis away, then what is kept in memory is for whoever proves the same."""
    first = await house.login()
    house.store.failing = ("present", "release")
    second = await house.ask(refresh_token=first)
    assert (await house.ask("refresh_token", THEIRS, refresh_token=first)).json == {"error": "invalid_client"}
    assert (await house.ask(refresh_token=first)).content == second.content


async def test_guesses_are_limited(house: House) -> None:
    """given tokens that nobody knows and the server refuses, then the twenty-first of an address within a minute hears
    429, and all are audited by network; good tokens, their replays and refused ones that are known never count and are
    never held up."""
    known, spent = await house.login(), await house.login()
    await house.ask(refresh_token=spent)
    house.server.valid.discard(known)
    for _ in range(30):
        assert (await house.ask(refresh_token=known)).json == {"error": "invalid_grant"}
        assert (await house.ask(refresh_token=spent)).status == 200
    good = await house.login()
    refused = [await house.ask(refresh_token=f"hush-guess-{index}") for index in range(22)]
    assert [outcome.status for outcome in refused] == [400] * 20 + [429] * 2
    assert refused[-1].code == "too-many-attempts"
    assert (await house.ask(refresh_token=good)).status == 200
    assert [event.outcome for event in house.gate.reported(Audit)].count("rejected with 400") == 30
    assert house.gate.reported(AttemptFailed) == [
        AttemptFailed("refresh", outcome, "192.0.2.0/24") for outcome in ["invalid"] * 20 + ["too-many-attempts"] * 2
    ]


async def test_a_server_in_trouble_makes_nobody_a_guesser(house: House) -> None:
    """given a server that answers 500, or Redis away, then no attempt is counted."""

    async def broken(exchange: Exchange) -> Reply:
        return Reply(500)

    house.gate.forward, forward = broken, house.gate.forward
    assert {(await house.ask(refresh_token="hush-unknown")).status for _ in range(30)} == {500}
    house.gate.forward = forward
    house.store.failing = ("present", "release")
    assert {(await house.ask(refresh_token="hush-unknown")).status for _ in range(30)} == {400}
