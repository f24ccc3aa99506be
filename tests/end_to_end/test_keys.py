"""Keys of a gateway in a process of its own: published, rotated and reloaded while it serves."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import yaml

from tests.end_to_end.conftest import StartGateway
from tests.support.process import GatewayProcess
from tests.support.valkey import ValkeyServer
from tests.tokens.key_material import entry, pem

LOGIN = {"user": "u-1", "password": "hush-pass"}
JWKS = "/.well-known/jwks.json"
RELOADED = "Configuration reloaded"
FAILED = "Configuration not reloaded, the one before stays"


async def login(client: aiohttp.ClientSession, gateway: GatewayProcess) -> dict[str, str]:
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        assert response.status == 200
        return dict(await response.json())


async def refresh(client: aiohttp.ClientSession, gateway: GatewayProcess, token: str) -> tuple[int, dict[str, str]]:
    async with client.post(gateway.url() + "/api/auth/refresh", json={"refreshToken": token}) as response:
        return response.status, dict(await response.json())


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def mount(folder: Path, number: int, content: str) -> None:
    """Put a new content behind `folder/key.pem`, as Kubernetes does with a mounted Secret."""
    new = folder / f"..{number}"
    new.mkdir(parents=True)
    (new / "key.pem").write_text(content)
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not (folder / "key.pem").is_symlink():
        (folder / "key.pem").symlink_to("..data/key.pem")


async def published(client: aiohttp.ClientSession, gateway: GatewayProcess) -> list[str]:
    """Return the ids of the published keys, in their order."""
    async with client.get(gateway.url() + JWKS) as response:
        return [key["kid"] for key in (await response.json(content_type=None))["keys"]]


async def verified(gateway: GatewayProcess, token: str) -> dict[str, Any]:
    """Verify an access token as a backend would: with PyJWT, and the keys that the gateway publishes."""
    verifier = jwt.PyJWKClient(gateway.url() + JWKS)
    key = await asyncio.to_thread(verifier.get_signing_key_from_jwt, token)
    return dict(jwt.decode(token, key, [key.algorithm_name], audience="backend", issuer="gateway"))


async def test_keys_are_rotated_without_a_restart_and_nobody_is_logged_out(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """Added as last, promoted, removed: verifiers find each key in time, and every session goes on."""
    old, new = entry("RS256", "old"), entry("EdDSA", "new")
    tokens = {"enabled": True, "routes": {"jwks": JWKS}, "keys": [old]}
    gateway = await start_gateway(tokens=tokens, redis={"url": valkey.url})
    first = await login(client, gateway)
    assert (await verified(gateway, first["accessToken"]))["sub"] == "u-1"

    async def put_in_force(keys: list[dict[str, Any]]) -> None:
        path, new = gateway.folder / "config.yaml", gateway.folder / "new"
        config = yaml.safe_load(path.read_text())
        config["tokens"]["keys"] = keys
        new.write_text(yaml.safe_dump(config))
        new.replace(path)
        await gateway.signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while await published(client, gateway) != [key["kid"] for key in keys]:
                await asyncio.sleep(0.01)

    await put_in_force([old, new])
    second = await login(client, gateway)
    assert kid(second["accessToken"]) == "old"
    await put_in_force([new, old])
    status, third = await refresh(client, gateway, first["refreshToken"])
    assert (status, kid(third["accessToken"])) == (200, "new")
    for pair in (second, third):
        assert (await verified(gateway, pair["accessToken"]))["sub"] == "u-1"
    await put_in_force([new])
    assert (await refresh(client, gateway, third["refreshToken"]))[0] == 200
    assert (await refresh(client, gateway, second["refreshToken"]))[0] == 401
    assert [line for line in await gateway.logged(RELOADED, 5) if line["waits_for_restart"]] == []


async def test_a_mounted_secret_that_changes_is_put_in_force(
    start_gateway: StartGateway, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A Kubernetes Secret is swapped by a link: the new key signs, without a signal; a broken one changes nothing."""
    folder = tmp_path / "keys"
    mount(folder, 1, pem("ES256", 1))
    key = {"kid": "main", "alg": "ES256", "private_key_file": str(folder / "key.pem")}
    gateway = await start_gateway(tokens={"enabled": True, "routes": {"jwks": JWKS}, "keys": [key]})
    await gateway.logged("Redis available", 5)
    before = await login(client, gateway)
    mount(folder, 2, pem("ES256", 2))
    await gateway.logged(RELOADED, 10)
    after = await login(client, gateway)
    assert (await verified(gateway, after["accessToken"]))["sub"] == "u-1"
    assert (await refresh(client, gateway, before["refreshToken"]))[0] == 401
    mount(folder, 3, pem("P-384"))
    (line,) = await gateway.logged(FAILED, 10)
    assert (line["key"], line["level"]) == ("tokens.keys[0].private_key", "error")
    assert (await refresh(client, gateway, after["refreshToken"]))[0] == 200
    async with client.get(gateway.url("admin") + "/metrics") as response:
        text = await response.text()
    assert "gateway_config_last_reload_successful 0.0" in text
    assert 'gateway_config_reloads_total{result="ok"} 1.0' in text
    assert 'gateway_config_reloads_total{result="failed"} 1.0' in text


async def test_the_published_keys_are_behind_no_gate(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """In maintenance of the whole site and in strict mode without Redis: 200, cacheable, under its own label."""
    gateway = await start_gateway(
        tokens={"enabled": True, "require_redis": True, "routes": {"jwks": JWKS}, "keys": [entry("ES256")]},
        redis={"url": valkey.url},
        maintenance={"enabled": True, "routes": ["/**"]},
    )
    valkey.kill()
    async with client.get(gateway.url() + "/anything") as response:
        assert response.status == 503
    async with client.get(gateway.url() + JWKS) as response:
        assert (response.status, response.content_type) == (200, "application/jwk-set+json")
        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert [key["kid"] for key in (await response.json(content_type=None))["keys"]] == ["ES256-1"]
        tag, length = response.headers["ETag"], response.headers["Content-Length"]
    async with client.head(gateway.url() + JWKS) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, length)
    async with client.get(gateway.url() + JWKS, headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    async with client.get(gateway.url("admin") + "/metrics") as response:
        assert f'gateway_requests_total{{code="200",method="GET",route="{JWKS}"}} 1.0' in await response.text()
