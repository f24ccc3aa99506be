"""The composition root: what is built, and the road of a request, top to bottom.

The one idea: the two chains below are lists, outermost frame first. Replies come back through the same frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import structlog

from gateway import lifecycle
from gateway.admin.handler import AdminHandler
from gateway.admin.health import Health, RedisState
from gateway.availability.gate import Gate
from gateway.availability.layer import AvailabilityLayer
from gateway.availability.probe import Probe
from gateway.clock import SYSTEM, Clock
from gateway.config import GatewaySettings, Loaded
from gateway.config.policy import Policy
from gateway.errors import StartError
from gateway.events import Event
from gateway.exchange import Exchange, Handler, Layer, chain
from gateway.lifecycle import Door, Parts, Signals
from gateway.maintenance.layer import MaintenanceLayer
from gateway.modes import token_layer
from gateway.observability.journal import LIMITS, Journal
from gateway.observability.lag import watch_lag
from gateway.observability.layer import EgressObserver, IngressObserver
from gateway.observability.metrics import Metrics
from gateway.observability.recorder import Recorder
from gateway.observability.throttle_gauges import watch_throttle
from gateway.pauses import watched
from gateway.redis_client.client import RedisClient
from gateway.redis_client.embedded import EmbeddedServer
from gateway.redis_client.eviction import watch_eviction
from gateway.redis_client.settings import EMBEDDED
from gateway.reload import Reload
from gateway.rescue import RescueLayer
from gateway.throttle.lanes import lane_selector
from gateway.throttle.layer import ThrottleLayer
from gateway.tokens.around import around_tokens
from gateway.tokens.jwks import JwksLayer
from gateway.tokens.keys import Keys, Ring
from gateway.tokens.standstill import Standstill
from gateway.vendor_frames import Frames, vendor_frames
from gateway.wire.backend import BackendUpstream
from gateway.wire.forwarded import Forwarding
from gateway.wire.routes import any_of, exactly, label
from gateway.wire.server import Listener
from gateway.wire.settings import LimitSettings
from gateway.wire.vendor import VendorUpstream

FAILED = 1
DRAINED = 0

Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.stdlib.get_logger("gateway")


async def serve(loaded: Loaded, *, on_ready: Callable[[], None] = lambda: None, clock: Clock = SYSTEM) -> int:
    """Serve until SIGTERM or SIGINT, then drain; returns the exit code: 0 drained, 1 it could not start or go on."""
    asyncio.get_running_loop().set_exception_handler(_unhandled)
    signals = Signals()
    signals.install()
    try:
        async with AsyncExitStack() as stack:
            gateway = Gateway(loaded, clock)
            signals.on_hangup = gateway.reload.ask
            stack.push_async_callback(gateway.aclose)
            await gateway.prepare()
            await lifecycle.run(gateway.parts(), signals, on_ready, clock)
    except StartError as error:
        log.error("Cannot start", problem=str(error))
        return FAILED
    except Exception as error:  # the last frame of the process: whatever it is becomes a line and an exit code
        log.error("Cannot go on", exc_info=error)
        return FAILED
    finally:
        signals.remove()
    return DRAINED


class Gateway:
    """One gateway, put together from its settings. `prepare` first, `aclose` last, whatever happened between."""

    def __init__(self, loaded: Loaded, clock: Clock = SYSTEM) -> None:
        self._settings = loaded.settings
        self._clock = clock
        self._metrics = Metrics()
        tokens = loaded.settings.file.tokens
        self._keys = Keys(tokens) if tokens.enabled else None
        self.reload = Reload(loaded, self._prepare_reload, self._metrics)
        upstreams = [policy.upstream for policy in self._settings.policies if policy.on]
        self._recorder = Recorder(self._metrics, ["backend", *upstreams])
        self._journal = Journal(clock, strict=tokens.require_redis)
        self._background: list[Work] = [partial(watch_lag, self._metrics, clock), self.reload.run]
        self._stack = AsyncExitStack()
        self._standstill = Standstill()
        self._watched = watched(self.emit, self._standstill, clock)
        self._frames: list[Frames] = []
        self._gate: Gate | None = None
        self._redis: RedisClient | None = None

    async def prepare(self) -> None:
        """Start the embedded Redis when it is wanted, and ask Redis once, so that the first request finds a verdict.

        Raises:
            StartError: when the embedded server cannot run.
        """
        file = self._settings.file
        url = file.redis.url
        if url == EMBEDDED:
            if not (file.tokens.enabled or file.tokens.require_redis):
                self._metrics.without_redis()
                return
            embedded = EmbeddedServer(file.redis.data_dir, self.emit)
            self._stack.push_async_callback(embedded.stop)
            url = await embedded.start()
            self._background.append(embedded.run)
        gate = self._gate = Gate(file.redis.probe.failures, file.redis.probe.successes)
        client = self._redis = RedisClient.connect(file.redis, url, emit=self.emit, clock=self._clock)
        probe = Probe(client.ping, gate, file.redis.probe, self._watched, self._clock)
        client.available = lambda: gate.available
        client.on_result = probe.command_result
        self._stack.push_async_callback(client.aclose)
        await probe.ask()
        self._background += [probe.run, partial(watch_eviction, client, self.emit, file.redis.probe.interval)]

    async def aclose(self) -> None:
        """Close clients and pools, and end the embedded Redis."""
        await self._stack.aclose()

    def parts(self) -> Parts:
        """Return everything that is started and stopped."""
        file = self._settings.file
        health = Health(self._redis_state)
        throttles: list[ThrottleLayer] = []
        egress = []
        for policy in self._settings.policies:
            if not policy.on:
                continue  # off; the configuration's warnings have said so
            throttle = ThrottleLayer(
                policy, lane_of=lane_selector(policy, lambda route: any_of([route])), emit=self.emit, clock=self._clock
            )
            throttles.append(throttle)
            self._background.append(throttle.throttle.run)
            listener = Listener(
                policy.upstream,
                self._egress(policy, throttle),
                forwarding=None,
                limits=file.ingress.limits,
                idle_timeout=None,
                key=f"policies/{policy.upstream}: listen",
                tls=policy.tls,
            )
            egress.append(Door(policy.upstream, listener, policy.listen))
            _announce(policy)
        return Parts(
            ingress=Door("ingress", self._ingress_listener(), file.ingress.listen),
            egress=egress,
            admin=Door("admin", self._admin_listener(health), file.admin.listen),
            background=self._background,
            health=health,
            on_draining=lambda: self._metrics.draining.set(1),
            release_queues=partial(_release, throttles),
            wait=file.shutdown.wait,
            timeout=file.shutdown.timeout,
        )

    def _prepare_reload(self, settings: GatewaySettings) -> Callable[[], None]:
        keys, tokens = self._keys, settings.file.tokens
        ring = Ring.of(tokens) if keys and tokens.enabled else None
        # Keys for another mode wait for the restart that the mode waits for.
        serves = ring is not None and ring.serves(self._settings.file.tokens.mode)

        def put_in_force() -> None:
            if serves:
                setattr(keys, "ring", ring)  # noqa: B010 (an attribute of what may be None)
            for frames in self._frames:
                frames.renew(settings.policies)

        return put_in_force

    def emit(self, event: Event) -> None:
        """Hand what a room reports to the metrics and to the log."""
        self._recorder(event)
        self._journal(event)

    def _ingress(self, forwarding: Forwarding) -> Handler:
        """clients → backend."""
        file = self._settings.file
        closed = file.tokens.routes.all() if file.maintenance.routes == "tokens" else file.maintenance.routes
        named = [*file.tokens.routes.all(), *(file.maintenance.routes if file.maintenance.routes != "tokens" else ())]
        refresh = Exchange("POST", file.tokens.routes.refresh.path.encode())
        closes, excepted = any_of(closed), exactly(file.maintenance.except_)
        report = self._watched if closes(refresh) and not excepted(refresh) else self.emit
        maintenance = MaintenanceLayer(file.maintenance, closes, excepted, report)
        maintenance.announce()
        published: list[Layer] = []
        if (jwks := file.tokens.routes.jwks) is not None and self._keys is not None:
            published.append(JwksLayer(self._keys, exactly([jwks])))
            named.insert(0, jwks)
        backend = BackendUpstream(file.ingress, forwarding, self.emit, self._clock)
        self._stack.push_async_callback(backend.aclose)
        layers: list[Layer] = [
            IngressObserver(self._metrics, label(named), [str(route) for route in named], self._clock),
            RescueLayer("backend", file.ingress.errors, self.emit),
            *published,
            maintenance,
            *self._token_layers(forwarding),
        ]
        return chain(layers, backend.handle)

    def _token_layers(self, forwarding: Forwarding) -> list[Layer]:
        """Redis availability, in strict mode also while tokens are the backend's; the origin of pages; then tokens."""
        tokens = self._settings.file.tokens
        if self._redis is None or self._gate is None:
            return []
        gate, routes = self._gate, tokens.routes
        layers: list[Layer] = []
        if tokens.require_redis:
            # A logout answers for an outage itself, if it is the gateway's: it clears the cookies first.
            passes = any_of([routes.logout] if self._keys is not None else [])
            layers.append(AvailabilityLayer(lambda: gate.available, any_of(routes.all()), passes=passes))
        if self._keys is None:
            return layers
        layer = token_layer(
            tokens,
            self._redis,
            self._settings.file.redis.key_prefix,
            self._keys,
            self._standstill,
            loosely=any_of,
            strictly=exactly,
            emit=self.emit,
            clock=self._clock,
        )
        self._background.append(layer.run)
        return [*layers, *around_tokens(tokens, layer, any_of, forwarding.authority)]

    def _egress(self, policy: Policy, throttle: ThrottleLayer) -> Handler:
        """backend → vendor."""
        frames = vendor_frames(policy, pause=lambda *_: None, emit=self.emit, clock=self._clock)
        self._frames.append(frames)
        self._background += frames.run
        self._stack.push_async_callback(frames.aclose)
        vendor = VendorUpstream(policy.upstream, policy.address, self.emit, self._clock)
        self._stack.push_async_callback(vendor.aclose)
        watch_throttle(self._metrics, throttle.throttle.snapshot)
        layers: list[Layer] = [
            EgressObserver(self._metrics),
            RescueLayer(policy.upstream, self._settings.file.ingress.errors, self.emit),
            *frames.before,
            *frames.attempt,
            throttle,
            *frames.inside,
        ]
        return chain(layers, vendor.handle)

    def _ingress_listener(self) -> Listener:
        ingress = self._settings.file.ingress
        forwarding = Forwarding(ingress.trusted_proxies)
        return Listener(
            "ingress",
            self._ingress(forwarding),
            forwarding=forwarding,
            limits=ingress.limits,
            idle_timeout=ingress.idle_timeout,
            key="ingress.listen",
            shape=ingress.errors,
        )

    def _admin_listener(self, health: Health) -> Listener:
        handler = AdminHandler(health, self._metrics.render)
        return Listener(
            "admin", handler.handle, forwarding=None, limits=LimitSettings(), idle_timeout=30.0, key="admin.listen"
        )

    def _redis_state(self) -> RedisState:
        if self._gate is None:
            return "not used"
        return "available" if self._gate.available else "unavailable"


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no task or callback has handled, redacted like every other line."""
    log.error("Unhandled", problem=context.get("message"), exc_info=context.get("exception"))


def _release(layers: Sequence[ThrottleLayer]) -> None:
    for layer in layers:
        layer.throttle.close()


def _announce(policy: Policy) -> None:
    lanes = [{"lane": lane.name, "concurrency": lane.concurrency, "timeout": lane.timeout} for lane in policy.lanes]
    log.info(
        LIMITS,
        upstream=policy.upstream,
        scope=policy.scope,
        rate_cap=policy.rate.cap,
        rate_per=policy.rate.per,
        guard=policy.rate.guard,
        pace=policy.pace.model_dump() if policy.pace else None,
        lanes=lanes,
        max_depth=policy.queue.max_depth,
        max_wait=policy.queue.max_wait,
    )
