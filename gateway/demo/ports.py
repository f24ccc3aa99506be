"""Chooses the demo's ports: the ones the documentation names, and free ones where those are taken.

The one idea: all are chosen together and held until the last one is known, so that no two are the same.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Self

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """A port for each listener of the demo, all on 127.0.0.1; the defaults are those preferred."""

    ingress: int = 8080
    admin: int = 9900
    whmcs_egress: int = 9181
    salesforce_egress: int = 9182
    backend: int = 3000
    whmcs: int = 9191
    salesforce: int = 9192

    def free(self) -> Self:
        """Return these ports with each one that is taken replaced by a free one; 0 stands for any free one."""
        with ExitStack() as held:
            chosen = {field.name: _hold(held, getattr(self, field.name)) for field in fields(self)}
        return type(self)(**chosen)


def _hold(held: ExitStack, preferred: int) -> int:
    for port in (preferred, 0):
        holder = held.enter_context(socket.socket())
        # As asyncio's servers do: a connection that was closed a moment ago does not make its port taken.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, port))
            holder.listen(1)  # two bound sockets may share a port, two listening ones may not
        except OSError:
            continue
        return int(holder.getsockname()[1])
    raise OSError(f"no free port on {HOST}")
