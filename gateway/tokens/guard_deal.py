"""What is to be written down of a good answer of the backend's: whose the tokens are, how long they last, the seals.

The one idea: it is the same whether it can be written at once or is owed for a while, so it is made in one place.
"""

from __future__ import annotations

from gateway.tokens.claims import new_family
from gateway.tokens.events import NothingBrought
from gateway.tokens.guard import Lineage
from gateway.tokens.guard_answer import Bringing, Verbatim, end_in, user_in
from gateway.tokens.guard_arrears import Owed
from gateway.tokens.guard_desk import GuardDesk, Shown
from gateway.tokens.guard_steps import Deal


def named_user(brought: Bringing, *tokens: str) -> str | None:
    """Return whom an answer is about: whom it names, else whom its tokens or these name; None: nobody says."""
    hints = (user_in(token) for token in (*brought.tokens, *tokens))
    return brought.user or next((hint for hint in hints if hint is not None), None)


async def deal_of(
    desk: GuardDesk, shown: Shown, answer: Verbatim, lineage: Lineage | None, *, now: int, owner: str, asked: float
) -> Owed:
    """Return the deal of a token that the backend has answered well.

    Args:
        desk: names, seals and reads.
        shown: the presented token.
        answer: the backend's.
        lineage: whose the token is; None when it is from before the gateway, or nobody could be asked.
        now: when it was claimed (s, the store's clock); 0 when it was not.
        owner: of the claim.
        asked: when it was presented (monotonic s).
    """
    vault, brought = desk.vault, await desk.reader.read(answer.reply())
    if not brought.tokens:
        desk.emit(NothingBrought("refresh"))
    if lineage is None:
        family = new_family()  # one that names nobody is its own user
        lineage = Lineage(named_user(brought, shown.text) or family, family, now)
    brings = tuple(dict.fromkeys(vault.names(token)[0] for token in brought.tokens))
    successors = () if shown.name in brings else brings
    seals = {name: vault.seal(shown.text, name, answer, shown.proof) for name in shown.names}
    end = max(map(end_in, (*brought.tokens, shown.text)))
    deal = Deal(shown.name, owner, lineage, successors, None, shown.client.note, end)
    answers = {name: sealed for name, sealed in seals.items() if sealed is not None}
    return Owed(shown.names, deal, asked, shown.client, vault.fingerprint(shown.text), answers)


def login_of_answer(desk: GuardDesk, shown: Shown, brought: Bringing, asked: float) -> Owed:
    """Return a login as it is owed: a family that began with the tokens of the answer, `shown` being the first."""
    family = new_family()
    lineage = Lineage(named_user(brought) or family, family, 0, generation=0)
    names = tuple(dict.fromkeys(desk.vault.names(token)[0] for token in brought.tokens))
    deal = Deal("", "", lineage, names, None, shown.client.note, max(map(end_in, brought.tokens)))
    return Owed((), deal, asked, shown.client, desk.vault.fingerprint(shown.text))
