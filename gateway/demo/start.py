"""Starts the demo: the services, the gateway in front of and behind them, and the tour when all of it is ready.

The one idea: everything hangs on one stack, so that however it ends nothing stays: no process, no port, no file.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from gateway.app import serve
from gateway.config import ConfigInvalid, GatewaySettings, Loaded, load
from gateway.demo import files, guide
from gateway.demo.ports import HOST, Ports
from gateway.demo.services import Services, serve_one
from gateway.demo.tour import Places, Scene, tour, wants_color
from gateway.observability import logs

INVALID = 2


async def run(backend: str | None, environ: Mapping[str, str]) -> int:
    """Serve the demo until a signal; returns the exit code: 0 drained, 1 it could not start, 2 configuration invalid.

    With `backend` (a URL, or `unix:/path`) the gateway stands in front of that service, and no demo backend runs.
    """
    ports = Ports().free()
    token_key = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder:
        config = files.write(Path(folder), ports, backend or _url(ports.backend), environ)
        try:
            loaded = load(config, {**environ, files.KEY_VARIABLE: token_key})
        except ConfigInvalid as invalid:
            print(*invalid.problems, sep="\n", file=sys.stderr)
            return INVALID
        logs.configure(loaded.settings.file.log, sys.stderr)
        return await _serve(loaded, ports, token_key, own_backend=backend is not None, environ=environ)


async def run_only(vendor: Literal["salesforce", "whmcs"]) -> int:
    """Serve one vendor's simulator alone until a signal, and tell how to drive it; returns the exit code."""
    ports = Ports().free()
    services = Services(only=(vendor,), ports={vendor: getattr(ports, vendor)})
    await serve_one(services, guide.GUIDES[vendor])
    return 0


async def _serve(loaded: Loaded, ports: Ports, token_key: str, *, own_backend: bool, environ: Mapping[str, str]) -> int:
    services = Services(
        only=("whmcs", "salesforce") if own_backend else ("whmcs", "salesforce", "backend"),
        ports={"backend": ports.backend, "whmcs": ports.whmcs, "salesforce": ports.salesforce},
        token_key=token_key,
        egress={"whmcs": _url(ports.whmcs_egress), "salesforce": _url(ports.salesforce_egress)},
    )
    text = tour(_scene(loaded.settings, ports, own_backend), color=wants_color(sys.stdout, environ))
    async with services:
        return await serve(loaded, on_ready=lambda: print(text, flush=True))


def _scene(settings: GatewaySettings, ports: Ports, own_backend: bool) -> Scene:
    rate = next(policy.rate for policy in settings.policies if policy.upstream == "whmcs")
    places = Places(
        ingress=_url(ports.ingress),
        admin=_url(ports.admin),
        whmcs_egress=_url(ports.whmcs_egress),
        salesforce_egress=_url(ports.salesforce_egress),
        backend=settings.file.ingress.backend,
        whmcs=_url(ports.whmcs),
        salesforce=_url(ports.salesforce),
    )
    return Scene(places, rate.cap, rate.per, own_backend, settings.file.maintenance.enabled)


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
