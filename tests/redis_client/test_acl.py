"""The access rules of the how-to: enough for everything the gateway does, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway
from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from tests.redis_client.samples import script
from tests.support.valkey import ValkeyServer

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=4.0)
HOME = Path(gateway.__file__).parent
PAGE = (HOME.parent / "docs" / "how-to" / "connect-redis.md").read_text("utf-8")
RULE = next(line for line in PAGE.splitlines() if line.startswith("ACL SETUSER"))
BESIDES = set(re.findall(r"[`\s]\+([a-z]+)", PAGE))
EVERYTHING = """
local key = KEYS[1]
redis.call('TIME')
redis.call('HSET', key, 'a', 1, 'b', 2)
redis.call('HDEL', key, 'b')
redis.call('PEXPIRE', key, 60000)
local log = key .. ':log'
redis.call('ZADD', log, 'NX', 1, 'a')
redis.call('ZADD', log, 2, 'b')
redis.call('ZREM', log, 'b')
redis.call('ZREMRANGEBYSCORE', log, '-inf', redis.call('ZSCORE', log, 'a'))
redis.call('ZRANGE', log, -1, -1, 'WITHSCORES')
redis.call('ZCARD', log)
redis.call('PUBLISH', 'gw:news', 'a')
return { redis.call('HGET', key, 'a'), redis.call('HEXISTS', key, 'b'), redis.call('EXISTS', key) }
"""


@pytest.fixture
def rules(shared_valkey: ValkeyServer) -> None:
    """Give the session's server the user of the how-to."""
    shared_valkey.command("ACL", "DELUSER", "gateway")
    shared_valkey.command(*RULE.replace(">PASSWORD", ">hush-acl").split())


def test_every_command_of_a_script_and_of_a_room_is_named() -> None:
    """A script that begins to use another command fails here, and not at an operator whose user may not."""
    scripts = " ".join(file.read_text("utf-8") for file in HOME.rglob("*.lua"))
    rooms = " ".join(file.read_text("utf-8") for file in HOME.rglob("*.py"))
    used = {
        *re.findall(r"redis\.p?call\('([A-Z]+)'", scripts),
        *re.findall(r"\.(?:call|_send)\(\s*\"([A-Z]+)\"", rooms),
    }
    assert {command.lower() for command in used} <= BESIDES


async def test_the_user_of_the_page_may_do_what_the_gateway_does(shared_valkey: ValkeyServer, rules: None) -> None:
    """given those rules, then the probe and a script with its commands work, on keys of the prefix only."""
    url = f"redis://gateway:hush-acl@127.0.0.1:{shared_valkey.port}"
    client = RedisClient.connect(SETTINGS, url, emit=ignore)
    await client.ping()
    assert await client.run(script("everything", EVERYTHING), ["gw:t:{ann}"], []) == [b"1", 0, 1]
    assert await client.call("HGETALL", "gw:t:{ann}") == [b"a", b"1"]
    for refused in (
        client.call("GET", "elsewhere"),
        client.call("CONFIG", "GET", "*"),
        client.call("KEYS", "gw:*"),
        client.call("PUBLISH", "elsewhere", "a"),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            await refused
        assert caught.value.kind == "auth"
        assert "hush-" not in str(caught.value)
    await client.aclose()
