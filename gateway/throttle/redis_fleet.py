"""The fleet's books in Redis: two keys a policy, one script a statement.

The one idea: a decision is one round trip and is judged by Redis's clock alone. What is decided stands in `books.lua`
and `fleet.lua`; this only puts a statement into words and takes the answer apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import load
from gateway.throttle.fleet import Answer, LaneAnswer, Statement

_SCRIPT: Final = load("gateway.throttle", "fleet", prelude="books")
_json: Final = json.JSONEncoder(separators=(",", ":")).encode
_FIELDS: Final = tuple(Statement.__slots__)


class RedisFleet:
    """The books of one policy, see `Fleet`.

    Attributes:
        channel: on which the replicas are told that there is news; the message is the id of who caused it.
    """

    def __init__(self, client: RedisClient, upstream: str, prefix: str = "gw") -> None:
        self.channel = f"{prefix}:{{throttle:{upstream}}}"
        self.keys = (self.channel, f"{self.channel}:sends")
        self._client = client

    async def tell(self, statement: Statement) -> Answer:
        """Make a statement, see `Fleet`."""
        reply = await self._client.run(_SCRIPT, self.keys, (self.channel, _words(statement)))
        return _answer(reply)

    async def listen(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Hear of the books' news, see `gateway.throttle.link.Listen`."""
        await self._client.listen(self.channel, heard, lost)


def _words(statement: Statement) -> str:
    fields = {name: getattr(statement, name) for name in _FIELDS}
    fields["lanes"] = [(lane.name, lane.limit, lane.held, lane.wants, lane.spare) for lane in statement.lanes]
    return _json(fields)


def _answer(reply: Sequence[Any]) -> Answer:
    now, verdict, epoch, lanes, slots, rank, replicas, cap, span, used, following, log, data_lost = reply
    return Answer(
        now=now,
        verdict=verdict.decode(),
        epoch=epoch.decode(),
        lanes=tuple(
            LaneAnswer(granted, bool(contended), limit)
            for granted, contended, limit in zip(lanes[::3], lanes[1::3], lanes[2::3], strict=True)
        ),
        slots=tuple((member.decode(), time) for member, time in _pairs(slots)),
        rank=rank,
        replicas=tuple(sorted(replica.decode() for replica in replicas)),
        cap=cap,
        span=span,
        used=used,
        next=following,
        log=tuple((time, bool(mine)) for time, mine in _pairs(log)) if log is not None else None,
        data_lost=bool(data_lost),
    )


def _pairs(flat: Sequence[Any]) -> zip[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)
