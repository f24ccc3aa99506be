"""The frames that a vendor's own room puts on the egress road, around the throttle and inside it.

The one idea: whoever builds the road need not know which vendor it leads to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import SYSTEM, Clock
from gateway.config.policy import Policy
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Layer
from gateway.retry.breaker_layer import Failed, status_failed
from gateway.salesforce.client_login import ClientLoginLayer
from gateway.salesforce.expiry import kind_of
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.layers import CredentialsLayer, SessionLayer
from gateway.salesforce.settings import AuthSettings
from gateway.salesforce.usage_layer import PauseLane, UsageLayer
from gateway.wire.poster import Poster


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Frames:
    """What a vendor adds to its road.

    Attributes:
        before: around the whole of a call, outermost first.
        attempt: around each attempt, outside the throttle.
        inside: inside the throttle.
        run: what runs for as long as the gateway does.
        failed: whether an answer says that the vendor fails.
        follow: puts in force what a policy that was read again says; secrets count from the next login on.
        aclose: closes what the frames have opened.
    """

    before: list[Layer] = field(default_factory=list)
    attempt: list[Layer] = field(default_factory=list)
    inside: list[Layer] = field(default_factory=list)
    run: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    failed: Failed = status_failed
    follow: Callable[[Policy], None] = lambda policy: None
    aclose: Callable[[], Awaitable[None]] = _nothing


def vendor_frames(policy: Policy, *, pause: PauseLane, emit: Emit = ignore, clock: Clock = SYSTEM) -> Frames:
    """Return the frames for the upstream of `policy`; `pause` sends nothing more in the lane of a call."""
    if policy.upstream == "salesforce":
        return _salesforce(policy, pause, emit, clock)
    return Frames()


def _salesforce(policy: Policy, pause: PauseLane, emit: Emit, clock: Clock) -> Frames:
    name, auth, frames = policy.upstream, policy.auth or AuthSettings(), Frames()
    usage = UsageLayer(name, policy.daily, policy.queue.priority_header, pause=pause, emit=emit, clock=clock)
    frames.before.append(usage)
    keeper = None
    if auth.type is not None:
        poster = Poster()
        keeper = Keeper(name, auth, poster, base_url=policy.base_url, emit=emit, clock=clock)
        frames.attempt.append(SessionLayer(keeper))
        frames.inside.append(CredentialsLayer(keeper))
        frames.run.append(keeper.run)
        frames.aclose = poster.aclose
    frames.inside.append(ClientLoginLayer(name, auth.timeout, emit))

    def follow(found: Policy) -> None:
        usage.adapt(found.daily, found.queue.priority_header)
        if keeper is not None and found.auth is not None:
            keeper.renew(found.auth)

    frames.failed, frames.follow = _salesforce_failed, follow
    return frames


def _salesforce_failed(exchange: Exchange, status: int) -> bool:
    """Whether Salesforce fails; its SOAP APIs answer 500 to whatever they refuse."""
    return status_failed(exchange, status) and not (status == 500 and kind_of(exchange.target) == "soap")
