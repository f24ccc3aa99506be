"""The body of a vendor's answer, which holds its call's permit until the last byte and ends with the call's time.

The one idea: whichever comes first, the end of the content, the lane's timeout or whoever reads it closing it, closes
the connection and only then gives the permit back. A reader that is stuck in its own client does not keep the permit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from gateway.errors import GatewayError
from gateway.exchange import Body, Released
from gateway.throttle.call import Call
from gateway.throttle.events import Outcome
from gateway.throttle.throttler import Throttle


def timed_out() -> GatewayError:
    """Return the error of a call that took longer than its lane allows."""
    return GatewayError("upstream-timeout", detail="The service did not answer in time.", private="the lane's timeout")


class CallBody(Released):
    """`inner`, with the permit of `call`, to be read until `deadline` (on the event loop's clock; None: no limit).

    `complete` is the outcome when all has been read; a body that has no content is complete from the start. Reading
    raises `GatewayError` `upstream-timeout` once the deadline has passed.
    """

    __slots__ = ("_chunks", "_complete", "_limit", "_outcome", "_overdue", "_throttle", "_timer")

    def __init__(
        self, inner: Body, throttle: Throttle, call: Call, *, deadline: float | None, complete: Outcome, empty: bool
    ) -> None:
        super().__init__(inner, lambda: throttle.leave(call, self._outcome))
        self._chunks: AsyncIterator[bytes] | None = None
        self._complete = complete
        self._outcome: Outcome = complete if empty else "cancelled"
        self._limit: asyncio.Timeout | None = None
        """Set while a chunk is waited for."""
        self._overdue = False
        self._throttle = throttle
        self._timer = None if deadline is None else asyncio.get_running_loop().call_at(deadline, self._expire)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            self._chunks = aiter(self._inner)
        chunk = None
        if not self._overdue:
            try:
                async with asyncio.timeout(None) as self._limit:
                    chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._outcome = self._complete
                await self.aclose()
                raise
            except Exception:
                if not self._overdue:
                    self._outcome = "error"
                    raise
            finally:
                self._limit = None
        if chunk is None or self._overdue:
            await self.aclose()
            raise timed_out()
        return chunk

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await super().aclose()

    def _expire(self) -> None:
        """End the call's time: interrupt who reads, or have the connection closed behind a reader busy elsewhere."""
        self._timer = None
        self._overdue = True
        self._outcome = "timeout"
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._throttle.own(self.aclose)
