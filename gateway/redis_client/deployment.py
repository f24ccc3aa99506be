"""From `redis.url` to the topology that serves it: the one place that knows them all."""

from __future__ import annotations

from gateway.errors import StartError
from gateway.redis_client.cluster import Cluster
from gateway.redis_client.dial import Dial, Make
from gateway.redis_client.directory import Directory
from gateway.redis_client.sentinel import SentinelMaster
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.topology import SingleServer, Topology
from gateway.redis_client.url import RedisUrl, Server, UnreadableUrl, parse


def topology(settings: RedisSettings, url: str) -> Topology:
    """Return what a URL leads to.

    Raises:
        StartError: when the URL or `redis.ca_file` cannot be read; the text does not repeat the URL.
    """
    try:
        parsed = parse(url)
    except UnreadableUrl as error:
        shape = error.shape or "redis://…, unix://…, redis+sentinel://… or redis+cluster://…"
        raise StartError(
            f"redis.url cannot be read: it must be {shape}, without other options; in a user or a password, "
            "percent-encode / : @ # and ?"
        ) from None
    dial = Dial(parsed, settings)
    connect, timeout = settings.connect_timeout, settings.command_timeout
    match parsed.form:
        case "unix":
            return SingleServer(dial.socket(), timeout)
        case "single":
            return SingleServer(dial.server(parsed.servers[0]), timeout)
        case "sentinel":
            directory = _sentinels(dial, parsed, connect)
            return SentinelMaster(directory, parsed.service, dial.server, timeout, connect)
        case "cluster":
            return Cluster(Directory(parsed.servers, [dial.server], connect), dial.server, timeout)


def _sentinels(dial: Dial, url: RedisUrl, patience: float) -> Directory:
    """Return the Sentinels, asked without credentials; those that want some are given the URL's."""

    def stranger(server: Server) -> Make:
        return dial.sentinel(server, known=False)

    def known(server: Server) -> Make:
        return dial.sentinel(server, known=True)

    return Directory(url.servers, [stranger, known] if dial.has_credentials else [stranger], patience)
