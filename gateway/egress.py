"""The road of a call to a vendor, top to bottom.

The one idea: a call is refused if it need not wait, then read, then tried; and every attempt takes a permit and a slot
of its own, so that no retry escapes the limits. The breaker stands before everything, and around each attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from gateway.clock import SYSTEM, Clock
from gateway.config.policy import LIVE, Policy
from gateway.errors import Shape
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Layer, Reply, chain
from gateway.lifecycle import Door
from gateway.observability.journal import LIMITS
from gateway.observability.layer import EgressObserver
from gateway.observability.metrics import Metrics
from gateway.observability.server_timing import ServerTimingLayer
from gateway.observability.throttle_gauges import watch_throttle
from gateway.rescue import RescueLayer
from gateway.retry.breaker_layer import BreakerDoor, BreakerGate, BreakerLayer
from gateway.retry.buffer_layer import BufferLayer, Room
from gateway.retry.layer import REASONS, RetryLayer
from gateway.throttle.lanes import lane_selector
from gateway.throttle.layer import ThrottleLayer
from gateway.throttle.redis_fleet import RedisFleet
from gateway.throttle.sharing import Sharing
from gateway.vendor_frames import Frames, vendor_frames
from gateway.wire.routes import any_of
from gateway.wire.server import Listener
from gateway.wire.settings import LimitSettings
from gateway.wire.vendor import VendorUpstream

log = structlog.stdlib.get_logger("gateway")


class Egress:
    """One upstream: its limits, and the way to it, which follow its policy when that is read again.

    Attributes:
        run: what runs for as long as the gateway does.

    Args:
        policy: the upstream's.
        fleet: the books that its limits are shared by; None: this process keeps them alone.
        room: what all request contents share.
        metrics: of the gateway.
        shape: of the gateway's own errors.
        emit: told what happens.
        clock: measures waits.
    """

    def __init__(
        self,
        policy: Policy,
        fleet: RedisFleet | None,
        room: Room,
        metrics: Metrics,
        shape: Shape,
        emit: Emit,
        clock: Clock,
    ) -> None:
        self.policy = policy
        self.throttle = ThrottleLayer(
            policy,
            lane_of=_lane_of(policy),
            emit=emit,
            clock=clock,
            sharing=Sharing(policy, fleet, fleet.listen, clock) if fleet else None,
        )
        self._vendor = VendorUpstream(policy.upstream, policy.address, emit, clock)
        self._frames = vendor_frames(policy, pause=self._pause, emit=emit, clock=clock)
        self.run = [self.throttle.throttle.run, *self._frames.run]
        self._room, self._metrics, self._shape, self._emit, self._clock = room, metrics, shape, emit, clock
        self._handler = self._chain()
        self._watched: frozenset[str] = frozenset()
        self._watch()
        _announce(policy)

    def door(self, limits: LimitSettings) -> Door:
        """Return the listener for the backend's calls, and where it is bound."""
        name, tls = self.policy.upstream, self.policy.tls
        key = f"policies/{name}: listen"
        listener = Listener(name, self.handle, forwarding=None, limits=limits, idle_timeout=None, key=key, tls=tls)
        return Door(name, listener, self.policy.listen)

    async def handle(self, exchange: Exchange) -> Reply:
        """Take a call to the upstream, by the policy that is in force when it comes."""
        return await self._handler(exchange)

    def follow(self, policies: Iterable[Policy]) -> None:
        """Put what has changed in this upstream's policy in force: who waits keeps the place, what runs goes on."""
        for policy in policies:
            if policy.upstream == self.policy.upstream:
                self._frames.follow(policy)
                found = {key: getattr(policy, key) for key in LIVE}
                if any(getattr(self.policy, key) != value for key, value in found.items()):
                    self._adapt(self.policy.model_copy(update=found))

    async def aclose(self) -> None:
        """Take leave of the fleet, and close every connection."""
        await self.throttle.throttle.part()
        await self._frames.aclose()
        await self._vendor.aclose()

    def _adapt(self, policy: Policy) -> None:
        before, self.policy = self.policy, policy
        self.throttle.adapt(policy, _lane_of(policy))
        if any(getattr(before, key) != getattr(policy, key) for key in ("retry", "breaker", "annotate")):
            self._handler = self._chain()  # with a breaker and a budget that know nothing yet
        self._watch()
        _announce(policy)

    def _chain(self) -> Handler:
        return egress(
            self.policy,
            self.throttle,
            self._frames,
            self._vendor.handle,
            self._room,
            self._metrics,
            self._shape,
            self._emit,
            self._clock,
        )

    def _pause(self, exchange: Exchange, seconds: float) -> None:
        """Send nothing more in the lane of a call for a while."""
        self.throttle.throttle.pause(self.throttle.lane_of(exchange), seconds)

    def _watch(self) -> None:
        """Have the gauges of lanes that are new."""
        lanes = frozenset(lane.name for lane in self.policy.lanes)
        if lanes != self._watched:
            self._watched = lanes
            watch_throttle(self._metrics, self.throttle.throttle.snapshot)


def _lane_of(policy: Policy) -> Callable[[Exchange], str]:
    return lane_selector(policy, lambda route: any_of([route]))


def _announce(policy: Policy) -> None:
    log.info(
        LIMITS,
        upstream=policy.upstream,
        scope=policy.scope,
        replicas=policy.replicas,
        rate_cap=policy.rate.cap,
        rate_per=policy.rate.per,
        guard=policy.rate.guard,
        pace=policy.pace.model_dump() if policy.pace else None,
        lanes=[{"lane": lane.name, "concurrency": lane.concurrency, "timeout": lane.timeout} for lane in policy.lanes],
        max_depth=policy.queue.max_depth,
        max_wait=policy.queue.max_wait,
    )


def egress(
    policy: Policy,
    throttle: ThrottleLayer,
    frames: Frames,
    vendor: Handler,
    room: Room,
    metrics: Metrics,
    shape: Shape = "problem",
    emit: Emit = ignore,
    clock: Clock = SYSTEM,
) -> Handler:
    """Return the way to `vendor` through the layers of `policy` and `frames`; all contents share `room`."""
    name, retry, breaker = policy.upstream, [], None
    if policy.breaker is not None:
        # Late, because a reload changes how lanes are told.
        lane_of, failed = (lambda exchange: throttle.lane_of(exchange)), frames.failed
        breaker = BreakerLayer(name, policy.breaker, lane_of=lane_of, failed=failed, emit=emit, clock=clock)
    if policy.retry is not None:
        may_go, may_retry = _may_go(throttle, breaker), frames.may_retry
        retry.append(RetryLayer(name, policy.retry, may_retry=may_retry, may_go=may_go, emit=emit, clock=clock))
        for reason in (*map(str, policy.retry.statuses), *REASONS):
            metrics.upstream_retries_total.labels(name, reason)
    metrics.breaker_open.labels(name).set_function(lambda: breaker is not None and breaker.open)
    layers: list[Layer] = [
        EgressObserver(metrics),
        *([ServerTimingLayer()] if policy.annotate else []),
        RescueLayer(name, shape, emit),
        *([BreakerDoor(breaker)] if breaker else []),
        *frames.before,
        BufferLayer(room),
        *retry,
        *frames.attempt,
        *([breaker] if breaker else []),
        throttle,
        *([BreakerGate(breaker)] if breaker else []),
        *frames.inside,
    ]
    return chain(layers, vendor)


def _may_go(throttle: ThrottleLayer, breaker: BreakerLayer | None) -> Callable[[Exchange], bool]:
    """Return whether another attempt would be let through; else the vendor's own answer is the better one to give."""
    return lambda exchange: throttle.in_time(exchange) and (breaker is None or breaker.lets_through())
