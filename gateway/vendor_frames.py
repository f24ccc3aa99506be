"""The frames that a vendor's own room puts on the egress road, around the throttle and inside it.

The one idea: whoever builds the road need not know which vendor it leads to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import SYSTEM, Clock
from gateway.config.policy import Policy
from gateway.events import Emit, ignore
from gateway.exchange import Layer
from gateway.salesforce.client_login import ClientLoginLayer
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.layers import CredentialsLayer, SessionLayer
from gateway.salesforce.settings import AuthSettings
from gateway.salesforce.usage_layer import PauseLane, UsageLayer
from gateway.wire.poster import Poster

PRIORITY: Final = "X-Gateway-Priority"


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
        renew: puts the secrets of reloaded policies in force, from the next login on.
        aclose: closes what the frames have opened.
    """

    before: list[Layer] = field(default_factory=list)
    attempt: list[Layer] = field(default_factory=list)
    inside: list[Layer] = field(default_factory=list)
    run: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    renew: Callable[[Sequence[Policy]], None] = lambda policies: None
    aclose: Callable[[], Awaitable[None]] = _nothing


def vendor_frames(policy: Policy, *, pause: PauseLane, emit: Emit = ignore, clock: Clock = SYSTEM) -> Frames:
    """Return the frames for the upstream of `policy`; `pause` sends nothing more in the lane of a call."""
    name, frames = policy.upstream, Frames()
    if name != "salesforce":
        return frames
    auth = policy.auth or AuthSettings()
    frames.before.append(UsageLayer(name, policy.daily, priority_header=PRIORITY, pause=pause, emit=emit, clock=clock))
    if policy.logs_in:
        poster = Poster()
        keeper = Keeper(name, auth, poster, base_url=policy.base_url, emit=emit, clock=clock)
        frames.attempt.append(SessionLayer(keeper))
        frames.inside.append(CredentialsLayer(keeper))
        frames.run.append(keeper.run)
        frames.renew = lambda policies: _renew(keeper, next((p for p in policies if p.upstream == name), policy))
        frames.aclose = poster.aclose
    frames.inside.append(ClientLoginLayer(name, auth.timeout, emit))
    return frames


def _renew(keeper: Keeper, policy: Policy) -> None:
    """Take the secrets of a policy; its other keys wait for a restart."""
    if policy.auth is not None and policy.auth.type == keeper.auth.type:
        keeper.auth = keeper.auth.model_copy(update={name: getattr(policy.auth, name) for name in AuthSettings.SECRETS})
