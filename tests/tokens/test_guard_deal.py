"""What is to be written down of a good answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.exchange import Buffered, Exchange
from gateway.tokens.guard import Lineage
from gateway.tokens.guard_answer import Bringing, Verbatim
from gateway.tokens.guard_arrears import Owed
from gateway.tokens.guard_deal import deal_of, login_of_answer, named_user
from gateway.tokens.guard_desk import GuardDesk
from gateway.tokens.guard_vault import MAX_SEALED
from gateway.tokens.keys import Keys
from tests.tokens.guard_support import guard_settings, jwt_like, memory_store
from tests.tokens.support import SetClock

TOKEN = "hush-presented"
ANN = Lineage("ann", "f" * 24, 7, 3)


def desk() -> GuardDesk:
    settings = guard_settings()
    return GuardDesk(settings, Keys(settings), memory_store(SetClock())[0])


async def deal(lineage: Lineage | None = ANN, pad: int = 0, **members: Any) -> tuple[GuardDesk, Owed]:
    """Return the deal of an answer with these members."""
    here = desk()
    (shown,) = await here.shown(
        Exchange("POST", b"/refresh", body=Buffered(json.dumps({"refreshToken": TOKEN}).encode()))
    )
    content = json.dumps({**members, "pad": "x" * pad}).encode()
    answer = Verbatim(200, headers=((b"Content-Type", b"application/json"),), content=content)
    return here, await deal_of(here, shown, answer, lineage, now=5, owner="me", asked=1.0)


async def test_a_successor_is_named_and_the_answer_sealed() -> None:
    """The deal holds names and seals, never a token, and ends when the last of its tokens says that it does."""
    successor = jwt_like(exp=90)
    here, owed = await deal(refreshToken=successor)
    assert (owed.deal.lineage, owed.deal.successors) == (ANN, here.vault.names(successor))
    assert (owed.deal.owner, owed.deal.end, owed.asked) == ("me", 90, 1.0)
    (name,) = here.vault.names(TOKEN)
    assert here.vault.open(TOKEN, name, owed.answers[name]) is not None
    assert TOKEN not in repr(owed)
    assert successor not in repr(owed)


@pytest.mark.parametrize("members", [{}, {"refreshToken": TOKEN}])
async def test_a_token_that_is_not_replaced_has_no_successor(members: dict[str, str]) -> None:
    """Whether the backend gives none or the same once more."""
    _, owed = await deal(**members)
    assert owed.deal.successors == ()


async def test_a_large_answer_is_not_kept() -> None:
    """It is delivered, and nothing of it stays."""
    _, owed = await deal(pad=MAX_SEALED)
    assert owed.answers == {}


async def test_a_token_that_nobody_knows_begins_a_family() -> None:
    """Of the user that the answer or the successor names, else of a user of its own, from when it was claimed."""
    _, owed = await deal(None, user={"id": 42}, refreshToken=jwt_like(sub="ann"))
    assert (owed.deal.lineage.user, owed.deal.lineage.auth_time, owed.deal.lineage.generation) == ("42", 5, 1)
    _, owed = await deal(None, refreshToken=jwt_like(sub="ann"))
    assert owed.deal.lineage.user == "ann"
    _, owed = await deal(None)
    assert owed.deal.lineage.user == owed.deal.lineage.family


def test_whom_an_answer_is_about() -> None:
    """What the answer says wins over the tokens in it, and those over the presented one."""
    assert named_user(Bringing((jwt_like(sub="ann"),), "42"), jwt_like(sub="bob")) == "42"
    assert named_user(Bringing((jwt_like(sub="ann"),)), jwt_like(sub="bob")) == "ann"
    assert named_user(Bringing(("hush-opaque",)), jwt_like(sub="bob")) == "bob"
    assert named_user(Bringing(("hush-opaque",)), "hush-other") is None


async def test_a_login_spends_nothing() -> None:
    """Its tokens begin a family, of the first generation once it is written."""
    here, owed = await deal()
    (shown,) = await here.shown(Exchange("POST", b"/refresh", body=Buffered(b'{"refreshToken":"hush-new"}')))
    login = login_of_answer(here, shown, Bringing(("hush-new", jwt_like(exp=9)), "ann"), 2.0)
    assert (login.names, login.deal.name, login.answers) == ((), "", {})
    assert (login.deal.lineage.user, login.deal.lineage.generation, login.deal.end) == ("ann", 0, 9)
    assert len(login.deal.successors) == 2
    assert login.key != owed.key
