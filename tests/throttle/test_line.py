"""A lane's waiting line."""

from __future__ import annotations

from gateway.throttle.call import Call, Lane
from gateway.throttle.line import AGEING, Line, Priority

WAIT = 80.0


def waiting(line: Line, now: float, tenant: str = "", priority: Priority = "normal") -> Call:
    call = Call(Lane("default", 1), tenant, priority, now + AGEING[priority] * WAIT, now + WAIT)
    line.add(call)
    return call


def test_tenants_take_turns_and_a_newcomer_is_last() -> None:
    """Of three tenants each gives one call a round; one that comes waits for the others' turns, not for their lines."""
    line = Line()
    calls = [waiting(line, 0.0, tenant) for tenant in "aaaabbb"]
    assert [line.pop(), line.pop()] == [calls[0], calls[4]]
    newcomer = waiting(line, 1.0, "c")
    assert [line.pop() for _ in range(line.size)] == [calls[1], calls[5], newcomer, calls[2], calls[6], calls[3]]
    assert list(line) == []


def test_a_priority_overtakes_as_far_as_its_penalty() -> None:
    """A high call goes before normal ones that came up to an eighth of the wait earlier, and before no other."""
    line = Line()
    early, late = waiting(line, 0.0), waiting(line, 5.0)
    high = waiting(line, 10.5, priority="high")
    low = waiting(line, 0.0, priority="low")
    assert [line.pop() for _ in range(4)] == [early, high, late, low]


def test_who_leaves_is_not_remembered() -> None:
    """When a tenant's last call leaves, its turn is gone, and when it comes back it is last."""
    line = Line()
    gone, other = waiting(line, 0.0, "a"), waiting(line, 0.0, "b")
    line.remove(gone)
    back = waiting(line, 1.0, "a")
    assert [line.pop(), line.pop()] == [other, back]
    assert line.size == 0


def test_how_many_go_before_a_newcomer() -> None:
    """A tenant's own calls of at least its priority count, and of each other tenant as many; never more than there
    are."""
    line = Line()
    for tenant, count in (("a", 10), ("b", 2)):
        for _ in range(count):
            waiting(line, 0.0, tenant)
    waiting(line, 0.0, "a", "low")
    assert line.ahead("a", "normal") == 10 + 2
    assert line.ahead("a", "low") == 11 + 2
    assert line.ahead("b", "normal") == 2 + 2
    assert line.ahead("a", "high") == line.ahead("c", "low") == 0
