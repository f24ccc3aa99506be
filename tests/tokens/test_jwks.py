"""The published keys: what is in the document, what never is, and how it is cached."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from gateway.exchange import Buffered, Exchange, Reply, header
from gateway.tokens.claims import Login, Mint
from gateway.tokens.jwks import JwksLayer
from gateway.tokens.keys import Keys, Ring
from tests.tokens.key_material import entry
from tests.tokens.support import SECRET, token_settings

ALL = tuple(entry(alg) for alg in ("RS256", "HS256", "ES256", "EdDSA"))
NOW = 1_800_000_000
PARTS = {
    "RS256-1": {"kid", "alg", "use", "kty", "n", "e"},
    "ES256-1": {"kid", "alg", "use", "kty", "crv", "x", "y"},
    "EdDSA-1": {"kid", "alg", "use", "kty", "crv", "x"},
}


async def ask(keys: Keys, method: str = "GET", tag: bytes = b"") -> Reply:
    layer = JwksLayer(keys, lambda exchange: exchange.target == b"/jwks")
    return await answered(layer, method, tag)


async def answered(layer: JwksLayer, method: str = "GET", tag: bytes = b"", target: bytes = b"/jwks") -> Reply:
    async def backend(exchange: Exchange) -> Reply:
        return Reply(404)

    return await layer.handle(Exchange(method, target, [(b"If-None-Match", tag)] if tag else []), backend)


def content(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, Buffered)
    return dict(json.loads(reply.body.content))


async def test_public_parts_of_asymmetric_keys_only() -> None:
    """Each asymmetric key with its id, algorithm and use, in the configured order; no HS256, no private part."""
    reply = await ask(Keys(token_settings(keys=ALL)))
    assert reply.status == 200
    assert header(reply.headers, b"content-type") == b"application/jwk-set+json"
    assert header(reply.headers, b"cache-control") == b"public, max-age=300"
    listed = content(reply)["keys"]
    assert {key["kid"]: set(key) for key in listed} == PARTS
    assert [(key["alg"], key["use"], key["kty"]) for key in listed] == [
        ("RS256", "sig", "RSA"),
        ("ES256", "sig", "EC"),
        ("EdDSA", "sig", "OKP"),
    ]


async def test_nothing_of_an_hs256_key() -> None:
    """With HS256 keys only, the set is empty."""
    assert content(await ask(Keys(token_settings()))) == {"keys": []}


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
async def test_a_listed_key_verifies_what_it_signed(alg: str) -> None:
    """A verifier that knows nothing but the document verifies an access token by its key id."""
    settings = token_settings(keys=(entry(alg), *ALL[:1])) if alg != "RS256" else token_settings(keys=ALL)
    keys = Keys(settings)
    token = Mint(settings, keys).access(Login("42"), NOW, NOW + 900)
    key_set = jwt.PyJWKSet.from_dict(content(await ask(keys)))
    kid = jwt.get_unverified_header(token)["kid"]
    assert jwt.decode(token, key_set[kid], [alg], {"verify_exp": False, "verify_iat": False}, audience="backend")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_a_known_document_is_not_sent_again(form: str) -> None:
    """`If-None-Match` with the current tag, weak, one of several, or any: 304 with the same tag and age."""
    keys = Keys(token_settings(keys=ALL))
    tag = header((await ask(keys)).headers, b"etag") or b""
    reply = await ask(keys, tag=form.replace("{}", tag.decode()).encode())
    assert (reply.status, header(reply.headers, b"etag")) == (304, tag)
    assert header(reply.headers, b"cache-control") == b"public, max-age=300"


async def test_the_document_follows_a_change_of_keys() -> None:
    """After a change the same layer tells the new keys, under another tag."""
    keys = Keys(token_settings(keys=(entry("ES256"),)))
    layer = JwksLayer(keys, lambda exchange: exchange.target == b"/jwks")
    before = await answered(layer)
    keys.ring = Ring.of(token_settings(keys=(entry("EdDSA"), entry("ES256"))))
    after = await answered(layer, tag=header(before.headers, b"etag") or b"")
    assert after.status == 200
    assert [key["kid"] for key in content(after)["keys"]] == ["EdDSA-1", "ES256-1"]


async def test_only_its_own_requests_are_answered() -> None:
    """Another target or method goes on; HEAD is answered as GET."""
    layer = JwksLayer(Keys(token_settings(keys=ALL)), lambda exchange: exchange.target == b"/jwks")
    assert (await answered(layer, target=b"/other")).status == 404
    assert (await answered(layer, "POST")).status == 404
    assert (await answered(layer, "HEAD")).status == 200
    assert SECRET.encode() not in repr(await answered(layer)).encode()
