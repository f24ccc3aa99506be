"""What must hold inside a policy, and between the policies and `config.yaml`.

The one idea: as in `gateway.config.checks`, generators that ask about exactly the keys they read; a conflict between
two keys is told at the later one and names the earlier.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.config.auth_checks import check_auth, check_daily, check_tls
from gateway.config.document import Document, KeyPath, dotted
from gateway.config.policy import Policy
from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.redis_client.settings import EMBEDDED

Found = Iterator[Problem]

_LANES: Final = ("lanes",)
_REPLICAS: Final = ("replicas",)


def check_policy(policy: Checked[Policy]) -> Found:
    """Yield every error, warning and note about one policy."""
    settings, document = policy.settings, policy.document
    if policy.sound(_LANES):
        yield from _names(policy)
        yield from _matches(policy)
    if policy.sound(("queue", "max_wait"), ("rate", "per")) and settings.queue.max_wait < settings.rate.per:
        text = "is shorter than rate.per: calls are turned away that the next window would have room for"
        yield document.problem(("queue", "max_wait"), text, "warning")
    if policy.sound(("queue", "priority_header"), ("queue", "fair_by")):
        yield from _headers(policy)
    if policy.sound(("long_calls", "limit"), _LANES):
        yield from _long_calls(policy)
    if policy.sound(("base_url",)):
        yield from _base_url(policy)
    yield from _replicas(policy)
    yield from check_auth(policy)
    yield from check_daily(policy)
    yield from check_tls(policy)


def _replicas(policy: Checked[Policy]) -> Found:
    settings, document = policy.settings, policy.document
    if not policy.sound(("scope",), _REPLICAS):
        return
    if settings.scope == "pod":
        if settings.replicas > 1:
            yield document.problem(
                _REPLICAS, "has no effect with scope: pod; each replica keeps the limits alone", "warning"
            )
        return
    if policy.sound(("rate", "cap")) and settings.rate.cap < settings.replicas:
        text = "is above rate.cap: while Redis is away, the replicas take turns with less than a call a window each"
        yield document.problem(_REPLICAS, text, "warning")


def _names(policy: Checked[Policy]) -> Found:
    first: dict[str, int] = {}
    for index, lane in enumerate(policy.settings.lanes):
        path = (*_LANES, index, "name")
        if policy.sound(path) and first.setdefault(lane.name, index) != index:
            text = f"is the name of lanes[{first[lane.name]}] too; each lane needs its own"
            yield policy.document.problem(path, text)


def _matches(policy: Checked[Policy]) -> Found:
    lanes, document = policy.settings.lanes, policy.document
    for index, lane in enumerate(lanes):
        path = (*_LANES, index, "match")
        if not policy.sound(path):
            continue
        last = index == len(lanes) - 1
        if last and lane.match:
            text = "the last lane takes whatever no other matched, so it has no match; add a lane without one"
            yield document.problem(path, text, of_key=True)
        elif not last and not lane.match:
            text = "needs a match: only the last lane takes everything, and the lanes after this one would get nothing"
            yield document.problem(path[:-1], text)
        for number, match in enumerate(lane.match):
            entry = (*path, number)
            if policy.sound((*entry, "path"), (*entry, "header")) and (match.path is None) == (not match.header):
                text = "needs either a path or a header with a value, and not both; write two entries for either-or"
                yield document.problem(entry, text)


def _headers(policy: Checked[Policy]) -> Found:
    queue = policy.settings.queue
    if queue.fair_by is not None and queue.fair_by.lower() == queue.priority_header.lower():
        yield policy.document.problem(("queue", "fair_by"), "is queue.priority_header too; each needs its own header")


def _long_calls(policy: Checked[Policy]) -> Found:
    settings = policy.settings
    told = ((*_LANES, index, key) for index in range(len(settings.lanes)) for key in ("name", "timeout", "concurrency"))
    if settings.long_calls is None or not policy.sound(*told):
        return
    lane = next(lane for lane in settings.lanes if lane.name == settings.long_lane)
    if settings.long_calls.limit < lane.concurrency:
        text = f"is below the concurrency of lane {lane.name}, which is never reached"
        yield policy.document.problem(("long_calls", "limit"), text, "warning")


def _base_url(policy: Checked[Policy]) -> Found:
    document, base_url = policy.document, policy.settings.base_url
    if not base_url:
        if policy.sound(("auth",)) and policy.settings.on:
            return
        yield document.problem(("base_url",), "is empty: this policy is off, and nothing listens for it", "info")
        return
    parts = urlsplit(base_url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        text = "calls leave this machine unencrypted; use https:// outside of tests"
        yield document.problem(("base_url",), text, "warning")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_upstreams(policies: Sequence[Checked[Policy]]) -> Found:
    """Yield an error for every policy of an upstream that another policy has."""
    first: dict[str, str] = {}
    for policy in policies:
        if not policy.sound(("upstream",)):
            continue
        name, document = policy.settings.upstream, policy.document
        if name in first:
            yield document.problem(("upstream",), f"{first[name]} is for the upstream {name} already")
        first.setdefault(name, document.file)


def check_shared(config: Checked[FileSettings], policies: Sequence[Checked[Policy]]) -> Found:
    """Yield an error for every policy whose replicas would each have a Redis of their own."""
    redis = config.settings.redis
    if not config.sound(("redis", "url"), ("redis", "allow_embedded")) or redis.url != EMBEDDED or redis.allow_embedded:
        return
    for policy in policies:
        settings = policy.settings
        if not policy.sound(("scope",), _REPLICAS, ("base_url",)) or not settings.on:
            continue
        if settings.scope == "fleet" and settings.replicas > 1:
            why = f"embedded is refused, because {settings.replicas} replicas of {policy.document.file} do not share it"
            remedy = "name a shared Redis (REDIS_URL), or set redis.allow_embedded: true"
            yield config.document.problem(("redis", "url"), f"{why}; {remedy}")


def check_listeners(config: Checked[FileSettings], policies: Sequence[Checked[Policy]]) -> Found:
    """Yield an error for every address that two listeners would share."""
    taken: list[tuple[Document, KeyPath, str]] = []
    for document, path, address in _listeners(config, policies):
        for other, other_path, other_address in taken:
            if not _collide(address, other_address):
                continue
            where = dotted(other_path) if other is document else f"{dotted(other_path)} of {other.file}"
            yield document.problem(path, f"the address is taken by {where}; choose another port")
            break
        taken.append((document, path, address))


def _listeners(
    config: Checked[FileSettings], policies: Sequence[Checked[Policy]]
) -> Iterator[tuple[Document, KeyPath, str]]:
    ingress, admin, policy_key = ("ingress", "listen"), ("admin", "listen"), ("listen",)
    if config.sound(ingress):
        yield config.document, ingress, config.settings.ingress.listen
    if config.sound(admin):
        yield config.document, admin, config.settings.admin.listen
    for policy in policies:
        if policy.sound(policy_key):
            yield policy.document, policy_key, policy.settings.listen


def _collide(one: str, other: str) -> bool:
    (host, port), (other_host, other_port) = _host_and_port(one), _host_and_port(other)
    if port != other_port or port == 0:  # port 0: any free one
        return False
    if host == other_host:
        return True
    try:
        addresses = ipaddress.ip_address(host), ipaddress.ip_address(other_host)
    except ValueError:  # a name: what it stands for is not known here
        return False
    return addresses[0].version == addresses[1].version and any(a.is_unspecified for a in addresses)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]").lower()
    return ("127.0.0.1" if host == "localhost" else host), int(port)
