"""The jobs of the migration on a cluster, where no script may read keys of two slots."""

from __future__ import annotations

import time

from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from gateway.tokens import statistics
from gateway.tokens.cleanup import Cleanup
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migrate import Migration
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy
from tests.support.cluster import ValkeyCluster
from tests.support.legacy import OldSession, written

POLICY = Policy()


async def _at_once() -> None:
    """Settle without waiting."""


async def test_case_27_old_sessions_on_three_masters() -> None:
    """given sessions all over a cluster / when migrated, counted, ended, cleaned up / then no CROSSSLOT, none left."""
    cluster = ValkeyCluster()
    await cluster.start()
    client = RedisClient.connect(RedisSettings(connect_timeout=5.0, command_timeout=10.0), cluster.url, emit=ignore)
    try:
        now = int(time.time())
        for number in range(40):
            session = OldSession(f"u{number % 20}", f"old-{number}", f"hush-{number}")
            for command in written(session, session.user, now - 60, now + 3600, "phone"):
                await client.call(*command)
        ledger, store = RedisLedger(client, POLICY), LegacyStore(client, POLICY)
        for taken_over, unchanged in ((40, 0), (0, 40)):
            report = await Migration(store, POLICY).run(batch=15)
            assert (report.taken_over, report.unchanged, report.skipped) == (taken_over, unchanged, {})
        assert (await statistics.count(ledger, store, "gw")).per_user == {2: 20}
        assert len(await ledger.close_all("u1", "revoked")) == 2
        assert await store.end_all("u1") == 2
        assert (await Cleanup(store, POLICY, settle=_at_once).run()).removed == 19 * 2 * 3
        assert [keys async for keys in client.scan("refresh_*")] == []
    finally:
        await client.aclose()
        await cluster.stop()
