"""Work that goes on when its client has gone away.

The one idea: a refresh that has been forwarded changes the backend's mind, so it is finished and written down whoever
still listens. Its task belongs to a group that lives as long as the gateway, not to a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.errors import GatewayError

T = TypeVar("T")


class Shelter:
    """Runs tasks that no request can take along when it is cancelled. `run` is the lifecycle's."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Shelter tasks until cancelled; those that are left then are cancelled too."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task, which must not raise: it would take all others along.

        Raises:
            GatewayError: `shutting-down`, while nothing is sheltered.
        """
        if self._group is None:
            work.close()
            raise GatewayError("shutting-down", private="refreshes are not sheltered")
        return self._group.create_task(work)


async def outcome(task: asyncio.Task[T]) -> T:
    """Return what a sheltered task returns; whoever waits may be cancelled, the task goes on.

    Raises:
        GatewayError: `shutting-down`, when the task was cancelled.
    """
    await asyncio.wait((task,))
    if task.cancelled():
        raise GatewayError("shutting-down", private="the gateway ended before the refresh did")
    return task.result()
