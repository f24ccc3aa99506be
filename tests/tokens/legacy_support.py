"""What the tests of old sessions share: a portal that trades old tokens, on a real server by the test's time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from gateway.redis_client.scripts import Script
from gateway.tokens.cleanup import Cleanup
from gateway.tokens.layer import TokensLayer
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migrate import Migration
from gateway.tokens.migration import name_of
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Record
from tests.support.legacy import SECRET, OldSession, write_session
from tests.support.valkey import ValkeyServer
from tests.tokens.support import KEY, Portal, SetClock, TimedClient, records_of, token_settings

_PTTL = "redis.call('PTTL', key)"
_BY_TIME = (
    "(function() local at = redis.call('PEXPIRETIME', key) if at < 0 then return at end return at - found[1] end)()"
)
CHANGES: dict[str, Any] = {"legacy": {"secret": SECRET}}


async def _at_once() -> None:
    """Settle without waiting."""


class LegacyClient(TimedClient):
    """Also reads what the old backend wrote, by the test's time."""

    whole = True

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        source = script.source.replace(_PTTL, _BY_TIME)
        if "redis.call('TIME')" in source:
            return await super().run(Script(script.name, source, ""), keys, args)
        self.sent.append((script.name, tuple(keys)))
        return self.redis.eval(source, len(keys), *keys, *args)

    async def call(self, command: str, *arguments: Any) -> Any:
        return self.redis.execute_command(command, *arguments)

    async def scan(self, pattern: str, count: int = 1000) -> AsyncIterator[list[bytes]]:
        cursor: Any = 0
        while True:
            cursor, keys = self.redis.scan(cursor, pattern, count)  # type: ignore[misc]
            yield keys
            if not cursor:
                return


class LegacyPortal(Portal):
    """A portal that knows the old backend's secret."""

    def __init__(self, server: ValkeyServer, **changes: Any) -> None:
        clock = SetClock()
        self.client = LegacyClient(server, clock)
        self.policy = token_settings(**CHANGES, **changes).policy
        self.store = LegacyStore(
            self.client,  # type: ignore[arg-type]
            self.policy,
            emit=lambda event: self.events.append(event),
            name=lambda mark: self.mint.fingerprint(mark),
        )
        ledger = RedisLedger(self.client, self.policy, clock=clock)  # type: ignore[arg-type]
        super().__init__(ledger, clock, **CHANGES, **changes)
        self.layer = TokensLayer(
            self.settings,
            ledger,
            login=lambda exchange: exchange.target.startswith(b"/login"),
            refresh=lambda exchange: exchange.target.startswith(b"/refresh"),
            logout=lambda exchange: exchange.target.startswith(b"/logout"),
            emit=self.events.append,
            clock=clock,
            old_tokens=self.store,
        )

    async def migrate(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Take everything over, and return the report."""
        return (await Migration(self.store, self.policy, self.events.append).run(dry_run=dry_run)).as_json()

    async def clean_up(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Clean up without waiting between the two looks, and return the report."""
        job = Cleanup(self.store, self.policy, self.events.append, settle=_at_once)
        return (await job.run(dry_run=dry_run)).as_json()

    def family_of(self, old: OldSession) -> Record | None:
        """Return what is recorded here of an old session of the usual user."""
        return records_of(self.client.redis, KEY).get(name_of(old.family))

    def old_session(self, user: Any = "42", family: str = "old-1", age: int = 3600, **changes: Any) -> OldSession:
        """Write a session of the old backend that was used a minute ago and began `age` seconds before."""
        return write_session(self.client.redis, user, family, int(self.clock.now) - 60, age=age, **changes)
