"""Runs the demo's services on 127.0.0.1: the backend and the simulators of both vendors, or one of them.

The one idea: they are ordinary servers on real sockets. `python -m gateway.demo.services --only whmcs --port 0` runs
one in a process of its own and prints its address as one line; with `--tls-cert` and `--tls-key` it speaks TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
import sys
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self, get_args

from aiohttp import web

from gateway.demo.accounts import TOKEN_KEY
from gateway.demo.backend import Backend
from gateway.demo.ports import HOST
from gateway.demo.salesforce import Salesforce
from gateway.demo.whmcs import Whmcs

Name = Literal["whmcs", "salesforce", "backend"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)

_GRACE: Final = 0.1  # seconds for an answer under way when the services stop; the gateway has drained before


@dataclass(kw_only=True, slots=True)
class Services:
    """The services of the demo, running inside `async with`.

    Attributes:
        only: which of them run.
        ports: the port of each; 0, or not named: a free one.
        token_key: what the backend verifies access tokens with.
        egress: where the backend finds a vendor (`whmcs`, `salesforce`: base URLs), through the gateway; a vendor not
            named is called at its simulator directly.
        event_interval: seconds between two of the backend's events.
        tls: what the vendors speak TLS with, for clients that insist on https; None: plain HTTP.
        whmcs, salesforce: the simulators, to be read and changed while they run.
        addresses: the base URL of each service that runs.

    Raises:
        OSError: on entering, when a port is taken; what was started is stopped.
    """

    only: Collection[Name] = NAMES
    ports: dict[Name, int] = field(default_factory=dict)
    token_key: str = field(default=TOKEN_KEY, repr=False)
    egress: dict[Name, str] = field(default_factory=dict)
    event_interval: float = 1.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    whmcs: Whmcs = field(default_factory=Whmcs)
    salesforce: Salesforce = field(default_factory=Salesforce)
    addresses: dict[Name, str] = field(default_factory=dict, init=False)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack, init=False, repr=False)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            for name in NAMES:  # the backend last: it is told where the vendors are
                if name in self.only:
                    self.addresses[name] = await self._start(started, name)
            self._running = started.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()
        self.addresses.clear()

    async def _start(self, started: AsyncExitStack, name: Name) -> str:
        # As a vendor would, a service gives up a call whose caller has gone: what is in flight is what is awaited.
        runner = web.AppRunner(
            self._application(name), access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )
        await runner.setup()
        started.push_async_callback(runner.cleanup)
        tls = None if name == "backend" else self.tls
        await web.TCPSite(runner, HOST, self.ports.get(name, 0), ssl_context=tls).start()
        return f"{'https' if tls else 'http'}://{HOST}:{runner.addresses[0][1]}"

    def _application(self, name: Name) -> web.Application:
        if name == "whmcs":
            return self.whmcs.application()
        if name == "salesforce":
            return self.salesforce.application()
        vendors = self.addresses | self.egress
        return Backend(
            token_key=self.token_key,
            whmcs=vendors.get("whmcs", ""),
            salesforce=vendors.get("salesforce", ""),
            event_interval=self.event_interval,
        ).application()


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a server with this certificate and key (PEM files) speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def serve_one(services: Services, told: Callable[[str], str]) -> None:
    """Run the one service of `services`, print what is `told` of its address, and stop it at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with services:
        print(told(*services.addresses.values()), flush=True)
        await stop.wait()


def main(arguments: list[str]) -> None:
    """Run the service that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.services", description="Run one service of the demo.")
    parser.add_argument("--only", choices=NAMES, required=True, help="which one")
    parser.add_argument("--port", type=int, default=0, help="its port on 127.0.0.1; 0: a free one")
    parser.add_argument("--tls-cert", type=Path, help="a vendor's certificate (PEM): it speaks TLS")
    parser.add_argument("--tls-key", type=Path, help="the key of the certificate (PEM)")
    chosen = parser.parse_args(arguments)
    if bool(chosen.tls_cert) != bool(chosen.tls_key):
        parser.error("--tls-cert and --tls-key come together")
    tls = tls_context(chosen.tls_cert, chosen.tls_key) if chosen.tls_cert else None
    services = Services(only=(chosen.only,), ports={chosen.only: chosen.port}, tls=tls)
    asyncio.run(serve_one(services, str))


if __name__ == "__main__":
    main(sys.argv[1:])
