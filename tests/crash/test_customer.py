"""A client of a storm keeps to its own rule, so that what befalls it is never its own doing."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.crash.checker import Checker
from tests.crash.customer import Customer, Habits
from tests.crash.history import History
from tests.support.plain_http import NoAnswer

FATE = 0.4
NEVER = Habits(drop=0, logout=0, end_all=0, thief=0, fate=FATE)


class Portal:
    """Gives generation after generation, and loses the answers that a test wants lost; stops the client at the end.

    After a logout it refuses.
    """

    def __init__(self, lost: set[int], requests: int, *, given_back: frozenset[int] = frozenset()) -> None:
        self.presented: list[int] = []
        self.over = asyncio.Event()
        self._ended = False
        self._lost = lost
        self._requests = requests
        self._given_back = given_back

    async def request(self, port: int, method: str, path: str, document: Any, *_: object) -> tuple[int, Any]:
        if path.endswith("/login"):
            return 200, _pair(1)
        if path.endswith("/logout"):
            self._ended = True
            self.over.set()
            return 204, None
        generation = _read(document["refreshToken"])
        number = len(self.presented)
        self.presented.append(generation)
        if number + 1 == self._requests:
            self.over.set()
        if self._ended:
            return 401, None
        if number in self._lost:
            raise NoAnswer
        return 200, _pair(generation if number in self._given_back else generation + 1)

    def close(self) -> None:
        """Nothing is held."""


def _pair(generation: int) -> dict[str, str]:
    payload = base64.urlsafe_b64encode(json.dumps({"fid": "f", "gen": generation}).encode()).decode().rstrip("=")
    return {"refreshToken": f"h.{payload}.s", "accessToken": "a"}


def _read(token: str) -> int:
    payload = token.split(".")[1]
    generation: int = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["gen"]
    return generation


@pytest.mark.parametrize(
    ("lost", "given_back", "presented"),
    [
        (set(), set(), [1, 2, 3, 4]),
        # the same one again, never an older one; then once its predecessor's, as a second tab does
        ({1}, set(), [1, 2, 2, 2, 3, 4]),
        ({1, 2, 3}, set(), [1, 2, 2, 2, 2, 2, 3]),
        # a second tab without an answer is not sent again and again
        ({1, 3}, set(), [1, 2, 2, 2, 3, 4]),
        # given back, as when the store was away
        (set(), {1}, [1, 2, 2, 2, 3, 4]),
    ],
)
async def test_a_client_presents_in_order(
    monkeypatch: pytest.MonkeyPatch, lost: set[int], given_back: set[int], presented: list[int]
) -> None:
    """given answers that are lost, or give the token back / then the same token is presented until there is an answer,
    its successor not before its fate is settled, and an older one never."""
    portal, history = Portal(lost, len(presented), given_back=frozenset(given_back)), History()
    client = Customer("u", [1], history, "seed", NEVER)
    monkeypatch.setattr(client, "_http", portal)
    await client.live(portal.over)
    assert portal.presented == presented
    assert Checker(fate=FATE, strict=not given_back).check(history.events) == []


async def test_two_tabs_present_the_same_token_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """given a client with two tabs / when one of them gets no answer / then both presented the same token, and its
    successor waits until the fate of the lost one is settled."""
    portal, history = Portal({2}, 7), History()
    client = Customer("u", [1], history, "seed", replace(NEVER, tabs=1))
    for tab in ("_http", "_other_tab"):
        monkeypatch.setattr(client, tab, portal)
    await client.live(portal.over)
    assert portal.presented == [1, 1, 2, 2, 2, 3, 3]
    assert Checker(fate=FATE).check(history.events) == []


async def test_an_ended_token_is_tried_once_its_predecessors_fate_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """given a client that logs out while a request with its former token is open / when all is reckoned up / then its
    last token waits for that, as it would have in use."""
    portal, history = Portal({1, 3}, 4), History()
    client = Customer("u", [1], history, "seed", NEVER)
    monkeypatch.setattr(client, "_http", portal)
    await client.live(portal.over)
    monkeypatch.setattr(client, "_habits", replace(NEVER, logout=1))
    portal.over.clear()
    await client.live(portal.over)
    await client.reckon()
    assert portal.presented == [1, 2, 2, 2, 3]
    assert Checker(fate=FATE).check(history.events) == []
