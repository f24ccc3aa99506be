"""Keys from their settings: which are taken, which are refused, and what is derived from them."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from gateway.tokens.keys import KeyProblem, Ring, access_key, weakness
from gateway.tokens.settings import KeySettings
from tests.tokens.key_material import ALGORITHMS, SECRET, encrypted_pem, entry, pem, public_pem
from tests.tokens.support import token_settings


def ring(*entries: dict[str, Any], **changes: Any) -> Ring:
    return Ring.of(token_settings(keys=entries, **changes))


def kids(ring: Ring) -> list[str]:
    """Return the ids of a ring's refresh secrets."""
    return [secret.kid for secret in ring.refresh]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_algorithm_takes_its_key(alg: str) -> None:
    """A secret for HS256, an RSA, a P-256 and an Ed25519 key for the others; nothing of it shows in a repr."""
    settings = KeySettings.model_validate(entry(alg))
    key = access_key(settings)
    assert (key.kid, key.alg) == (f"{alg}-1", alg)
    shown = f"{key!r}{settings!r}{ring(entry(alg))!r}"
    assert "hush-" not in shown
    assert "PRIVATE" not in shown


@pytest.mark.parametrize(
    ("alg", "given", "setting", "text"),
    [
        ("HS256", {}, "secret", "is missing"),
        ("HS256", {"secret": "hush-short"}, "secret", "at least 32 bytes"),
        ("HS256", {"secret": "hush" * 3 + "s" * 19}, "secret", "at least 32 bytes"),
        ("HS256", {"secret": "ab" * 40}, "secret", "repeats"),
        ("HS256", {"secret": "RS256 public"}, "secret", "another kind"),
        ("HS256", {"private_key": "EdDSA"}, "private_key", "signs with a secret"),
        ("RS256", {}, "private_key", "is missing"),
        ("RS256", {"secret": SECRET}, "secret", "signs with a private key"),
        ("RS256", {"private_key": "RSA 1024"}, "private_key", "at least 2048 bits; this has 1024"),
        ("RS256", {"private_key": "ES256"}, "private_key", "needs an RSA key"),
        ("ES256", {"private_key": "P-384"}, "private_key", "the curve P-256; this is on secp384r1"),
        ("ES256", {"private_key": "RS256"}, "private_key", "needs an EC key"),
        ("EdDSA", {"private_key": "Ed448"}, "private_key", "needs an Ed25519 key"),
        ("EdDSA", {"private_key": "DSA"}, "private_key", "needs an Ed25519 key"),
        ("RS256", {"private_key": "RS256 public"}, "private_key", "no private key"),
        ("RS256", {"private_key": "RS256 encrypted"}, "private_key", "is encrypted"),
        ("RS256", {"private_key": "hush-not-pem"}, "private_key", "not a private key in PEM"),
        ("RS256", {"private_key": "RS256 cut"}, "private_key", "not a private key in PEM"),
    ],
)
def test_weak_and_mismatching_keys(alg: str, given: dict[str, str], setting: str, text: str) -> None:
    """Each is refused at the setting that is wrong, in words that hold nothing of the key."""
    material = {name: _material(value) for name, value in given.items()}
    with pytest.raises(KeyProblem) as refused:
        access_key(KeySettings.model_validate({"kid": "main", "alg": alg, **material}))
    assert refused.value.setting == setting
    assert text in str(refused.value)
    for value in material.values():
        assert value.strip() not in str(refused.value)


def _material(name: str) -> str:
    kind, _, form = name.rpartition(" ")
    match form:
        case "public":
            return public_pem(kind)
        case "encrypted":
            return encrypted_pem(kind)
        case "cut":
            return pem(kind)[:-300]
    return pem(name) if name in ("EdDSA", "RSA 1024", "ES256", "P-384", "RS256", "Ed448", "DSA") else name


def test_a_random_secret_is_not_taken_for_a_weak_one() -> None:
    """Secrets in hexadecimal, base64 and plain words pass."""
    for secret in ("3f9a51c07be2d84416aa90b7f2c8e35d", "c29tZSBzZWNyZXQgYnl0ZXMgZm9yIHRlc3Rz", SECRET):
        assert weakness(secret.encode()) == ""


def test_by_default_each_key_gives_a_refresh_secret() -> None:
    """In the order of the keys, so that promoting a key promotes its refresh secret and retires neither."""
    before = ring(entry("HS256"), entry("ES256"))
    after = ring(entry("ES256"), entry("HS256"))
    assert len(set(kids(before))) == 2
    assert kids(after) == kids(before)[::-1]
    assert after.refresh[0].signing == before.refresh[1].signing


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_what_is_derived_depends_on_the_key_and_not_on_its_file(alg: str) -> None:
    """The same key in another PEM form gives the same refresh secret; another key gives another."""
    form = PrivateFormat.TraditionalOpenSSL if alg != "EdDSA" else PrivateFormat.PKCS8
    rewritten = {**entry(alg), "private_key": "\n" + pem(alg, form=form)}
    assert kids(ring(rewritten)) == kids(ring(entry(alg)))
    assert kids(ring(entry(alg, number=2))) != kids(ring(entry(alg)))


def test_refresh_secrets_of_their_own() -> None:
    """One or several take the place of what is derived; a secret has the same id wherever it stands."""
    own, other = "hush-refresh-secret-of-at-least-32-bytes", "hush-another-refresh-secret-of-32-bytes"
    (single,) = kids(ring(entry("RS256"), refresh_secret=own))
    several = kids(ring(entry("RS256"), refresh_secrets=({"secret": other}, {"secret": own})))
    assert several[1] == single
    assert len(set(several)) == 2


def test_a_derived_secret_is_named_by_its_key() -> None:
    """`key: main` is the secret that was derived from that key, which keeps its tokens good beside a new secret."""
    (derived,) = kids(ring(entry("EdDSA", "main")))
    own = {"secret": "hush-refresh-secret-of-at-least-32-bytes"}
    assert kids(ring(entry("EdDSA", "main"), refresh_secrets=({"key": "main"}, own)))[0] == derived


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({}, "secret"),
        ({"secret": SECRET, "key": "main"}, "secret"),
        ({"secret": "hush-short"}, "secret"),
        ({"key": "nobody"}, "key"),
    ],
)
def test_refresh_secrets_that_are_none(given: dict[str, str], setting: str) -> None:
    """Neither, both, a weak one, or a key that there is not: refused at the setting that is wrong."""
    with pytest.raises(KeyProblem) as refused:
        ring(entry("HS256", "main"), refresh_secrets=(given,))
    assert refused.value.setting == setting


def test_a_ring_is_whole_or_not_at_all() -> None:
    """One bad key, at whatever place, and there is no ring."""
    with pytest.raises(KeyProblem):
        ring(entry("ES256"), {"kid": "bad", "secret": "hush-short"})
