"""Keys come and go while tokens are about: each algorithm, promotion, retirement, and confusion of one with another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest

from gateway.tokens.claims import InvalidToken, Login, Mint
from gateway.tokens.keys import Keys, Ring
from gateway.tokens.rotation import Family
from tests.tokens.key_material import ALGORITHMS, entry, private_key, public_pem
from tests.tokens.support import Portal, TimedClient, another_gateway, generation, same, state_of, token_settings

NOW = 1_800_000_000
FAMILY = "0123456789abcdef01234567"
OLD, NEW = entry("HS256", "old", 1), entry("EdDSA", "new", 2)
OWN = {"secret": "hush-refresh-secret-of-at-least-32-bytes"}
NEXT = {"secret": "hush-another-refresh-secret-of-32-bytes"}


def mint(*entries: dict[str, Any], **changes: Any) -> Mint:
    return Mint(token_settings(keys=entries, **changes))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_algorithm_signs_and_verifies(alg: str) -> None:
    """The header names key and algorithm; the token is read back, and by a verifier who has only the public part."""
    signer = mint(entry(alg))
    token = signer.access(Login("42", {"role": "admin"}), NOW, NOW + 900)
    assert jwt.get_unverified_header(token) == {"alg": alg, "typ": "at+jwt", "kid": f"{alg}-1"}
    assert signer.read_access(token, NOW)["role"] == "admin"
    verifying = entry(alg)["secret"] if alg == "HS256" else public_pem(alg)
    options: Any = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, verifying, [alg], options, audience="backend", issuer="gateway")["sub"] == "42"


def test_an_access_token_is_good_within_its_time_only() -> None:
    """From its `exp` on it is refused, by the time that is given."""
    signer = mint(OLD)
    token = signer.access(Login("42"), NOW, NOW + 900)
    assert signer.read_access(token, NOW + 899.9)["exp"] == NOW + 900
    with pytest.raises(InvalidToken):
        signer.read_access(token, NOW + 900)


def test_all_keys_verify_and_the_first_signs() -> None:
    """An access token of any listed key is good, whatever its place; one of a retired key is not."""
    before, between, after = mint(OLD), mint(NEW, OLD), mint(NEW)
    old, new = (signer.access(Login("42"), NOW, NOW + 900) for signer in (before, between))
    assert [jwt.get_unverified_header(token)["kid"] for token in (old, new)] == ["old", "new"]
    assert between.read_access(old, NOW)
    assert mint(OLD, NEW).read_access(new, NOW)
    assert after.read_access(new, NOW)
    with pytest.raises(InvalidToken):
        after.read_access(old, NOW)


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _forged(header: dict[str, Any], claims: dict[str, Any], key: bytes | None) -> str:
    """Return a token made by hand, since no library signs with a public key as a secret."""
    signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(claims).encode())}"
    return f"{signed}.{_part(hmac.digest(key, signed.encode(), hashlib.sha256)) if key else ''}"


def test_algorithms_are_never_confused() -> None:
    """A public key used as an HS256 secret, no algorithm, or one key's id over another key's signature: refused."""
    keys = [entry(alg) for alg in ("RS256", "ES256", "EdDSA", "HS256")]
    reader = mint(*keys)
    claims = jwt.decode(reader.access(Login("42"), NOW, NOW + 900), options={"verify_signature": False})
    forged = []
    for key in keys:
        header = {"typ": "at+jwt", "kid": key["kid"]}
        forged += [
            _forged({**header, "alg": "none"}, claims, None),
            *(
                _forged({**header, "alg": "HS256"}, claims, public_pem(alg).encode())
                for alg in ("RS256", "ES256", "EdDSA")
            ),
            *(
                jwt.encode(claims, private_key(alg), alg, header)
                for alg in ("RS256", "ES256", "EdDSA")
                if alg != key["alg"]
            ),
        ]
    forged.append(jwt.encode(claims, keys[-1]["secret"], "HS256", {"typ": "at+jwt", "kid": "nobody"}))
    forged.append(jwt.encode(claims, keys[-1]["secret"], "HS256", {"typ": "rt+jwt", "kid": "HS256-1"}))
    accepted = [number for number, token in enumerate(forged) if _reads(reader, token)]
    assert accepted == []


def _reads(reader: Mint, token: str) -> bool:
    try:
        reader.read_access(token, NOW)
    except InvalidToken:
        return False
    return True


async def test_case_10_a_public_key_is_no_refresh_secret(stage: tuple[Portal, TimedClient]) -> None:
    """given an RS256 key / when its public part signs a refresh token as an HS256 secret / then 401, nothing burned."""
    portal, client = stage
    gateway = another_gateway(portal, keys=(entry("RS256"),))
    first = await gateway.login()
    head, claims, _ = first.token.split(".")
    header = jwt.get_unverified_header(first.token)
    before, sent = state_of(client), len(client.sent)
    public, private = public_pem("RS256").encode(), private_key("RS256")
    said = jwt.decode(first.token, options={"verify_signature": False})
    forged = [
        f"{head}.{claims}.{_part(hmac.digest(public, f'{head}.{claims}'.encode(), hashlib.sha256))}",
        f"{_part(json.dumps({**header, 'alg': 'none'}).encode())}.{claims}.",
        jwt.encode(said, private, "RS256", {**header, "alg": "RS256"}),
        jwt.encode(said, private, "RS256", {"typ": "rt+jwt", "kid": "RS256-1"}),
    ]
    for token in forged:
        assert (await gateway.refresh(token)).status == 401
    assert (state_of(client), len(client.sent)) == (before, sent)
    assert generation(gateway, await gateway.refresh(first.token)) == 2


@pytest.mark.parametrize(
    ("before", "promoted", "retired"),
    [
        ({"keys": (OLD, NEW)}, {"keys": (NEW, OLD)}, {"keys": (NEW,)}),
        ({"refresh_secrets": (OWN, NEXT)}, {"refresh_secrets": (NEXT, OWN)}, {"refresh_secrets": (NEXT,)}),
        ({"keys": (OLD,)}, {"keys": (OLD,), "refresh_secrets": (OWN, {"key": "old"})}, {"refresh_secrets": (OWN,)}),
    ],
    ids=["derived", "own", "from derived to own"],
)
async def test_case_32_rotated_keys(
    stage: tuple[Portal, TimedClient], before: Any, promoted: Any, retired: Any
) -> None:
    """given a token of the old key / when another is promoted / then it refreshes, until the old one is retired."""
    portal, client = stage
    old, new, last = (another_gateway(portal, **changes) for changes in (before, promoted, retired))
    first, forgotten = await old.login(), await old.login()
    second = await new.refresh(first.token)
    assert generation(new, second) == 2
    assert jwt.get_unverified_header(second.token)["kid"] != jwt.get_unverified_header(first.token)["kid"]
    sent = len(client.sent)
    assert (await last.refresh(forgotten.token)).status == 401
    assert len(client.sent) == sent
    assert generation(last, await last.refresh(second.token)) == 3


async def test_case_32_a_replay_over_a_promotion(stage: tuple[Portal, TimedClient]) -> None:
    """given a rotation whose answer was lost / when the key is promoted before the retry / then the same bytes."""
    portal, _ = stage
    old, new = another_gateway(portal, keys=(OLD, NEW)), another_gateway(portal, keys=(NEW, OLD))
    first = await old.login()
    lost = await old.refresh(first.token)
    retried = await new.refresh(first.token)
    assert same(lost, retried)
    after = await new.refresh(retried.token)
    assert same(after, await old.refresh(retried.token))


def test_a_change_between_decision_and_minting() -> None:
    """A record may name a secret that is retired by then: what is minted is good, and the same bytes at each replay."""
    settings = token_settings(keys=(OLD, NEW))
    keys = Keys(settings)
    mint = Mint(settings, keys)
    record = Family(2, mint.key_id, NOW * 1000, NOW, NOW + 60)
    keys.ring = Ring.of(token_settings(keys=(NEW,)))
    minted = mint.refresh(Login("42"), FAMILY, record)
    assert mint.read(minted).generation == 2
    assert (minted == mint.refresh(Login("42"), FAMILY, record)) is True
    assert (minted == mint.refresh(Login("42"), FAMILY, replace(record, key_id=mint.key_id))) is True
