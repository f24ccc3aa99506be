"""The frames that a vendor's own room puts on the egress road, around the throttle and inside it.

The one idea: whoever builds the road need not know which vendor it leads to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import SYSTEM, Clock
from gateway.config.policy import Policy
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Layer
from gateway.retry.breaker_layer import Failed, status_failed
from gateway.retry.buffer_layer import BODY_BYTES
from gateway.retry.layer import idempotent
from gateway.salesforce.client_login import ClientLoginLayer
from gateway.salesforce.expiry import kind_of
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.layers import CredentialsLayer, SessionLayer
from gateway.salesforce.settings import AuthSettings
from gateway.salesforce.usage_layer import PauseLane, UsageLayer
from gateway.settings import RoutePattern
from gateway.whmcs.call import action_class
from gateway.whmcs.layers import CredentialsLayer as WhmcsCredentialsLayer
from gateway.whmcs.layers import ForCalls, GuardLayer, LaneLayer, OutcomeLayer
from gateway.whmcs.settings import WhmcsAuth
from gateway.wire.poster import Poster
from gateway.wire.routes import any_of

_WHMCS_API: Final = any_of([RoutePattern(None, "/**/api.php"), RoutePattern(None, "/**/api.php/**")])


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Frames:
    """What a vendor adds to its road.

    Attributes:
        before: around the whole of a call, outermost first.
        attempt: around each attempt, outside the throttle.
        inside: inside the throttle.
        may_retry: whether a call that was sent may be sent again.
        run: what runs for as long as the gateway does.
        failed: whether an answer says that the vendor fails.
        follow: puts in force what a policy that was read again says; secrets count from the next login on.
        aclose: closes what the frames have opened.
    """

    before: list[Layer] = field(default_factory=list)
    attempt: list[Layer] = field(default_factory=list)
    inside: list[Layer] = field(default_factory=list)
    may_retry: Callable[[Exchange], bool] = idempotent
    run: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    failed: Failed = status_failed
    follow: Callable[[Policy], None] = lambda policy: None
    aclose: Callable[[], Awaitable[None]] = _nothing


def vendor_frames(policy: Policy, *, pause: PauseLane, emit: Emit = ignore, clock: Clock = SYSTEM) -> Frames:
    """Return the frames for the upstream of `policy`; `pause` sends nothing more in the lane of a call."""
    if policy.upstream == "salesforce":
        return _salesforce(policy, pause, emit, clock)
    if policy.upstream == "whmcs":
        return _whmcs(policy, emit, clock)
    return Frames()


def _salesforce(policy: Policy, pause: PauseLane, emit: Emit, clock: Clock) -> Frames:
    name, frames = policy.upstream, Frames()
    auth = policy.auth if isinstance(policy.auth, AuthSettings) else AuthSettings()
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
        if keeper is not None and isinstance(found.auth, AuthSettings):
            keeper.renew(found.auth)

    frames.failed, frames.follow = _salesforce_failed, follow
    return frames


def _salesforce_failed(exchange: Exchange, status: int) -> bool:
    """Whether Salesforce fails; its SOAP APIs answer 500 to whatever they refuse."""
    return status_failed(exchange, status) and not (status == 500 and kind_of(exchange.target) == "soap")


def _whmcs(policy: Policy, emit: Emit, clock: Clock) -> Frames:
    guard = GuardLayer(policy.upstream, policy.queue.max_wait, emit, clock)
    credentials = WhmcsCredentialsLayer(policy.auth, BODY_BYTES) if isinstance(policy.auth, WhmcsAuth) else None
    layers: list[Layer] = [LaneLayer(), guard, *([credentials] if credentials else [])]

    def follow(found: Policy) -> None:
        guard.max_wait = found.queue.max_wait
        if credentials is not None and isinstance(found.auth, WhmcsAuth) and credentials.auth != found.auth:
            credentials.auth = found.auth
            guard.renew()

    return Frames(
        attempt=[ForCalls(_WHMCS_API, layer) for layer in layers],
        inside=[ForCalls(_WHMCS_API, OutcomeLayer())],
        may_retry=lambda exchange: action_class(exchange) == "read" if _WHMCS_API(exchange) else idempotent(exchange),
        follow=follow,
    )
