"""What must hold inside and between policies: what is allowed, and warnings. What is refused is in the fixtures."""

from __future__ import annotations

import pytest

from tests.config.support import GOOD_POLICY, Place


def test_complete_with_little(place: Place) -> None:
    """A policy with upstream, listen, base_url, rate and one lane is complete, and nothing is said about it."""
    assert place.policy(GOOD_POLICY).warnings() == []


def test_off(place: Place) -> None:
    """A policy without a base URL is noted as off, at its key or at its file."""
    for text, line in ((GOOD_POLICY.replace("https://crm.example.com", "${CRM:-}"), "3:11"), (None, "1:1")):
        place.policy(text or GOOD_POLICY.replace("base_url: https://crm.example.com\n", ""))
        (note,) = place.load().warnings
        assert note.severity == "info"
        assert place.relative(note) == (
            f"policies/crm.yaml:{line}: base_url: is empty: this policy is off, and nothing listens for it"
        )


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://crm.example.com", True),
        ("http://10.1.2.3", True),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]", False),
        ("http://localhost/crm", False),
        ("https://crm.example.com", False),
    ],
)
def test_plain_http(place: Place, url: str, warned: bool) -> None:
    """Plain http to another machine is warned of, to this one it is not."""
    warnings = place.policy(GOOD_POLICY.replace("https://crm.example.com", url)).warnings()
    assert [line.split(": ")[1] for line in warnings] == ["base_url"] * warned


def test_wait_shorter_than_the_window(place: Place) -> None:
    """A queue that gives up before the window turns is warned of at its key."""
    place.policy(GOOD_POLICY + "queue:\n  max_wait: 59s\n")
    assert place.warnings() == [
        "policies/crm.yaml:8:13: queue.max_wait: is shorter than rate.per: calls are turned away that the next window "
        "would have room for"
    ]
    assert place.policy(GOOD_POLICY + "queue:\n  max_wait: 60s\n").warnings() == []


def test_a_header_for_two_things(place: Place) -> None:
    """A header cannot name the priority and the tenant, in whatever case it is written."""
    place.policy(GOOD_POLICY + "queue: {fair_by: x-gateway-PRIORITY}\n")
    assert place.problems() == [
        "policies/crm.yaml:7:18: queue.fair_by: is queue.priority_header too; each needs its own header"
    ]
    assert place.policy(GOOD_POLICY + "queue: {fair_by: X-Gateway-Tenant}\n").warnings() == []


def test_a_budget_below_the_long_lane(place: Place) -> None:
    """A budget that the long lane cannot even fill with its own calls is warned of at its key."""
    place.policy(GOOD_POLICY + "long_calls: {limit: 1, after: 20s}\n")
    assert place.warnings() == [
        "policies/crm.yaml:7:21: long_calls.limit: is below the concurrency of lane default, which is never reached"
    ]
    assert place.policy(GOOD_POLICY + "long_calls: {limit: 2, after: 20s}\n").warnings() == []


def test_one_policy_an_upstream(place: Place) -> None:
    """The second policy of an upstream is refused and names the first."""
    place.policy(GOOD_POLICY, "a.yaml").policy(GOOD_POLICY.replace("9191", "9192"), "b.yaml")
    assert place.problems() == [
        "policies/b.yaml:1:11: upstream: policies/a.yaml is for the upstream crm already",
    ]


@pytest.mark.parametrize(
    ("ingress", "admin", "collide"),
    [
        ("0.0.0.0:8080", "0.0.0.0:8080", True),
        ("127.0.0.1:8080", "0.0.0.0:8080", True),
        ("localhost:8080", "127.0.0.1:8080", True),
        ("'[::]:8080'", "'[::1]:8080'", True),
        ("'[::]:8080'", "0.0.0.0:8080", False),
        ("127.0.0.1:8080", "127.0.0.2:8080", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("gateway.local:8080", "127.0.0.1:8080", False),
    ],
)
def test_listeners(place: Place, ingress: str, admin: str, collide: bool) -> None:
    """Two listeners may not share an address; a wildcard takes every address of its family, port 0 is never taken."""
    place.config(f"ingress: {{listen: {ingress}}}\nadmin: {{listen: {admin}}}\n")
    assert bool(place.problems()) is collide


def test_listeners_of_policies(place: Place) -> None:
    """A collision of two policies is told at the later one and names the earlier one's file."""
    place.policy(GOOD_POLICY, "a.yaml").policy(GOOD_POLICY.replace("crm", "erp", 1), "b.yaml")
    assert place.problems() == [
        "policies/b.yaml:2:9: listen: the address is taken by listen of policies/a.yaml; choose another port"
    ]


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("timeout: 1s", "timeout: soon", "lanes[0].timeout"),
        ("cap: 10", "cap: 10, caps: 2", "rate.caps"),
        ("{cap: 10}", "{cap: 10, per: 60}\nqueue: {max_wait: 1s}", "rate.per"),
        ("timeout: 1s", "match: [{path: x}], timeout: 1", "lanes[0].match lanes[0].match[0].path lanes[0].timeout"),
        (
            "timeout: 1s",
            "timeout: 1s, match: [{header: {a: []}}, {path: /a, header: {a: b}}, {}, x]",
            "lanes[0].match lanes[0].match[0].header.a lanes[0].match[1] lanes[0].match[2] lanes[0].match[3]",
        ),
        (
            "  - {",
            "  - {name: default, match: x}\n  - {",
            "lanes[0].concurrency lanes[0].timeout lanes[0].match lanes[1].name",
        ),
        (
            "  - {",
            "  - x\n  - {name: default, concurrency: 1}\n  - {",
            "lanes[0] lanes[1] lanes[1].timeout lanes[2].name",
        ),
        ("\n  - {name: default,", "\n  - {name: X,", "lanes[0].name"),
        ("lanes:", "lines:", "lanes lines"),
        ("rate: {cap: 10}\n", "", "rate"),
    ],
)
def test_mistake_elsewhere_does_not_silence(place: Place, old: str, new: str, keys: str) -> None:
    """The listener's collision is told whatever else is wrong, and so is all that reads none of the wrong keys."""
    text = GOOD_POLICY.replace("9191", "8080").replace(old, new)
    told = [line.split(": ")[1] for line in place.policy(text).problems()]
    assert sorted(told) == sorted(["listen", *keys.split()])


def test_incomplete_policy_is_compared(place: Place) -> None:
    """A policy without its lanes is still one of its upstream, and still takes its address."""
    place.policy(GOOD_POLICY, "a.yaml").policy(GOOD_POLICY.partition("lanes")[0], "b.yaml")
    assert [line.split(": ")[1] for line in place.problems()] == ["lanes", "upstream", "listen"]


def test_incomplete_ingress_is_compared(place: Place) -> None:
    """A listener's address counts, whatever else is wrong beside it."""
    place.config("ingress: {listen: 0.0.0.0:8080, connect_timeout: 2}\nadmin: {listen: 127.0.0.1:8080}\n")
    assert [line.split(": ")[1] for line in place.problems()] == ["ingress.connect_timeout", "admin.listen"]
    place.config("ingress: {listen: 8080}\nadmin: {listen: 127.0.0.1:8080}\n")
    assert [line.split(": ")[1] for line in place.problems()] == ["ingress.listen"]


def test_replicas_that_share_nothing(place: Place) -> None:
    """With `scope: pod` a number of replicas is warned of, because it has no effect."""
    assert place.policy(GOOD_POLICY + "scope: pod\nreplicas: 3\n").warnings() == [
        "policies/crm.yaml:8:11: replicas: has no effect with scope: pod; each replica keeps the limits alone"
    ]
    assert place.policy(GOOD_POLICY + "scope: pod\n").warnings() == []


def test_more_replicas_than_calls(place: Place) -> None:
    """Replicas whose share is less than a call are warned of."""
    place.config("redis: {url: redis://127.0.0.1}\n")
    place.policy(GOOD_POLICY.replace("cap: 10", "cap: 2") + "replicas: 3\n")
    assert place.warnings() == [
        "policies/crm.yaml:7:11: replicas: is above rate.cap: while Redis is away, the replicas take turns with less "
        "than a call a window each"
    ]


def test_replicas_need_a_redis_that_they_share(place: Place) -> None:
    """The embedded Redis is refused for several replicas of a fleet, unless it is allowed or the policy is off."""
    place.policy(GOOD_POLICY + "replicas: 3\n")
    (line,) = place.problems()
    assert line == (
        "config.yaml:1:1: redis.url: embedded is refused, because 3 replicas of policies/crm.yaml do not share it; "
        "name a shared Redis (REDIS_URL), or set redis.allow_embedded: true"
    )
    place.config("redis: {allow_embedded: true}\n")
    assert place.problems() == []
    place.config("")
    place.policy(GOOD_POLICY.replace("https://crm.example.com", '""') + "replicas: 3\n")
    assert place.problems() == []
