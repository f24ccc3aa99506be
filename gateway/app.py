"""The composition root: what is built, and the road of a request, top to bottom.

The one idea: a chain is a list, outermost frame first, and replies come back through the same frames. That of the
ingress is below, that of the egress in `gateway.egress`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
from gateway.egress import Egress
from gateway.errors import StartError
from gateway.events import Event
from gateway.exchange import Exchange, Handler, Layer, chain
from gateway.lifecycle import Door, Parts, Signals
from gateway.maintenance.layer import MaintenanceLayer
from gateway.modes import token_layer
from gateway.observability.journal import Journal
from gateway.observability.lag import watch_lag
from gateway.observability.layer import IngressObserver
from gateway.observability.metrics import Metrics
from gateway.observability.recorder import Recorder
from gateway.pauses import watched
from gateway.redis_client.client import RedisClient
from gateway.redis_client.embedded import EmbeddedServer
from gateway.redis_client.eviction import watch_eviction
from gateway.redis_client.settings import EMBEDDED
from gateway.reload import Reload
from gateway.rescue import RescueLayer
from gateway.retry.buffer_layer import Room
from gateway.throttle.redis_fleet import RedisFleet
from gateway.tokens.around import around_tokens
from gateway.tokens.jwks import JwksLayer
from gateway.tokens.keys import Keys, Ring
from gateway.tokens.standstill import Standstill
from gateway.wire.backend import BackendUpstream
from gateway.wire.forwarded import Forwarding
from gateway.wire.routes import any_of, exactly, label
from gateway.wire.server import Listener
from gateway.wire.settings import LimitSettings

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
        self._room = Room()
        self._egresses: list[Egress] = []
        self._standstill = Standstill()
        self._watched = watched(self.emit, self._standstill, clock)
        self._gate: Gate | None = None
        self._redis: RedisClient | None = None

    async def prepare(self) -> None:
        """Start the embedded Redis when it is wanted, and ask Redis once, so that the first request finds a verdict.

        Raises:
            StartError: when the embedded server cannot run.
        """
        file = self._settings.file
        url = file.redis.url
        fleets = any(policy.on and policy.scope == "fleet" for policy in self._settings.policies)
        tokens = file.tokens.enabled or file.tokens.require_redis
        # A fleet whose Redis would be this process's own is one replica: its limits need no books.
        if not tokens and (url == EMBEDDED or not fleets):
            self._metrics.without_redis()
            return
        if url == EMBEDDED:
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
        for policy in self._settings.policies:
            if policy.on:  # else it is off; the configuration's warnings have said so
                self._egresses.append(self._egress(policy))
        return Parts(
            ingress=Door("ingress", self._ingress_listener(), file.ingress.listen),
            egress=[egress.door(file.ingress.limits) for egress in self._egresses],
            admin=Door("admin", self._admin_listener(health), file.admin.listen),
            background=self._background,
            health=health,
            on_draining=lambda: self._metrics.draining.set(1),
            release_queues=self._release_queues,
            wait=file.shutdown.wait,
            timeout=file.shutdown.timeout,
        )

    def _prepare_reload(self, settings: GatewaySettings) -> Callable[[], None]:
        keys, tokens = self._keys, settings.file.tokens
        ring = Ring.of(tokens) if keys and tokens.enabled else None
        # Keys for another mode wait for the restart that the mode waits for.
        serves = ring is not None and ring.serves(self._settings.file.tokens.mode)

        def put_in_force() -> None:
            if keys is not None and ring is not None and serves:
                keys.ring = ring
            for egress in self._egresses:
                egress.follow(settings.policies)

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
            # They answer for an outage themselves, if they are the gateway's: a logout clears the cookies first, and a
            # refresh has it noted that its token was given back as good.
            passes = any_of([routes.refresh, routes.logout] if self._keys is not None else [])
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

    def _egress(self, policy: Policy) -> Egress:
        """backend → vendor."""
        redis, prefix = self._redis, self._settings.file.redis.key_prefix
        fleet = RedisFleet(redis, policy.upstream, prefix) if redis is not None and policy.scope == "fleet" else None
        shape = self._settings.file.ingress.errors
        egress = Egress(policy, fleet, self._room, self._metrics, shape, self.emit, self._clock)
        self._background += egress.run
        self._stack.push_async_callback(egress.aclose)
        return egress

    def _release_queues(self) -> None:
        for egress in self._egresses:
            egress.throttle.throttle.close()

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
