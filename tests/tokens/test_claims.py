"""Tokens of two kinds, minted again byte for byte, and read with suspicion."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest

from gateway.tokens.claims import InvalidToken, Login, MalformedToken, Mint, new_family
from gateway.tokens.keys import Ring
from gateway.tokens.rotation import Family
from tests.tokens.support import SECRET, token_settings

NOW = 1_800_000_000
FAMILY = "0123456789abcdef01234567"
LOGIN = Login("42", {"role": "admin", "email": "ann@example.com", "n": 1.10, "deep": {"ü": ["\ud800"]}})
MINT = Mint(token_settings())
SIGNING = Ring.of(token_settings()).refresh[0].signing
_NO_TIMES: Any = {"verify_exp": False, "verify_iat": False}
RECORD = Family(3, MINT.key_id, NOW * 1000 + 999, NOW - 60, NOW + 600)


def _resigned(key: str | bytes, header: dict[str, Any] | None = None, alg: str = "HS256", **changes: Any) -> str:
    """Return our refresh token, changed, under a key that an attacker may know."""
    payload = jwt.decode(MINT.refresh(LOGIN, FAMILY, RECORD), options={"verify_signature": False})
    payload = {name: value for name, value in {**payload, **changes}.items() if value is not None}
    headers = {"typ": "rt+jwt", "kid": MINT.key_id, **(header or {})}
    return jwt.encode(payload, key, alg, headers)


def _ours(header: dict[str, Any] | None = None, **changes: Any) -> str:
    return _resigned(SIGNING, header, **changes)


def test_a_refresh_token_says_what_the_record_says() -> None:
    """Everything of the record and the login comes back from the token."""
    token = MINT.read(MINT.refresh(LOGIN, FAMILY, RECORD, degraded=True))
    assert (token.login, token.family, token.generation) == (LOGIN, FAMILY, 3)
    assert (token.auth_time, token.issued_at, token.expires) == (NOW - 60, NOW, NOW + 600)
    assert token.degraded


def test_the_same_record_gives_the_same_bytes_in_another_process() -> None:
    """A second mint, fed with what the first one's predecessor carried, mints the same token."""
    first = MINT.refresh(LOGIN, FAMILY, RECORD)
    carried = MINT.read(MINT.refresh(LOGIN, FAMILY, replace(RECORD, generation=2))).login
    shuffled = Login(carried.user, dict(reversed(carried.claims.items())))
    assert (Mint(token_settings()).refresh(shuffled, FAMILY, RECORD) == first) is True


def test_each_generation_has_an_id_of_its_own() -> None:
    """`jti` differs between generations and families."""
    records = [(FAMILY, RECORD), (FAMILY, replace(RECORD, generation=4)), (new_family(), RECORD)]
    tokens = [MINT.refresh(LOGIN, family, record) for family, record in records]
    ids = {jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens}
    assert len(ids) == 3


def test_an_access_token_is_what_a_backend_verifies() -> None:
    """`typ`, `iss`, `aud`, `sub`, `iat`, `exp`, `jti` and the claims, under the configured key."""
    access = MINT.access(Login("42", {"role": "admin"}), NOW, NOW + 900)
    payload = jwt.decode(access, SECRET, ["HS256"], _NO_TIMES, audience="backend", issuer="gateway")
    assert payload.pop("jti")
    expected = {"iss": "gateway", "aud": "backend", "sub": "42", "iat": NOW, "exp": NOW + 900, "role": "admin"}
    assert payload == expected
    assert jwt.get_unverified_header(access) == {"alg": "HS256", "typ": "at+jwt", "kid": "main"}


def test_an_access_token_is_no_refresh_token() -> None:
    """The refresh endpoint refuses an access token."""
    with pytest.raises(InvalidToken):
        MINT.read(MINT.access(LOGIN, NOW, NOW + 900))


def test_a_refresh_token_is_no_access_token() -> None:
    """Whoever verifies access tokens with the configured key, issuer and audience refuses a refresh token."""
    refresh = MINT.refresh(LOGIN, FAMILY, RECORD)
    assert jwt.get_unverified_header(refresh)["typ"] == "rt+jwt"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(refresh, SECRET, ["HS256"], audience="backend", issuer="gateway")
    same_secret = jwt.encode(jwt.decode(refresh, options={"verify_signature": False}), SECRET)
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(same_secret, SECRET, ["HS256"], _NO_TIMES, audience="backend", issuer="gateway")


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_only_what_we_minted_is_read() -> None:
    """Another key, kind, key id, issuer or audience, no algorithm, a swapped payload: all refused."""
    public_pem = "-----BEGIN RSA PUBLIC KEY----- hush-not-a-secret -----END RSA PUBLIC KEY-----".replace("-----", "")
    header, payload, signature = _ours().split(".")
    forged = {
        "another key": _resigned("hush-another-secret-of-at-least-32-bytes"),
        "the access key": _resigned(SECRET),
        "a public key as the secret": _resigned(public_pem),
        "kind": _ours({"typ": "at+jwt"}),
        "no kind": _ours({"typ": "JWT"}),
        "key id": _ours({"kid": "other"}),
        "issuer": _ours(iss="somebody"),
        "audience": _ours(aud="backend"),
        "several audiences": _ours(aud=["gateway/refresh", "backend"]),
        "no audience": _ours(aud=None),
        "HS384": _resigned(SIGNING + bytes(16), alg="HS384"),
        "alg none": f"{_encoded({'alg': 'none', 'typ': 'rt+jwt', 'kid': MINT.key_id})}.{payload}.",
        "alg none, signed": f"{_encoded({'alg': 'none', 'typ': 'rt+jwt', 'kid': MINT.key_id})}.{payload}.{signature}",
        "payload": f"{header}.{_encoded({'sub': '1'})}.{signature}",
        "no signature": f"{header}.{payload}.",
    }
    accepted = []
    for name, token in forged.items():
        with contextlib.suppress(InvalidToken):
            MINT.read(token)
            accepted.append(name)
    assert accepted == []


@pytest.mark.parametrize(
    "changes",
    [
        {"gen": 0}, {"gen": -1}, {"gen": 1.5}, {"gen": "1"}, {"gen": True}, {"gen": 2**60}, {"gen": None},
        {"fid": "short"}, {"fid": FAMILY.upper()}, {"fid": "floor"}, {"fid": 1}, {"fid": FAMILY + "\n"},
        {"sub": ""}, {"sub": "x" * 257}, {"sub": 42}, {"exp": "soon"}, {"iat": None}, {"auth_time": -5},
        {"claims": None}, {"claims": []}, {"deg": 1}, {"jti": None}, {"jti": 7}, {"sub": None}, {"fid": None},
        {"iss": None}, {"exp": None}, {"auth_time": None},
    ],
)  # fmt: skip
def test_a_signed_token_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    """Even under our key nothing reaches Redis that is not of the one shape we mint."""
    token = _ours(**changes)
    with pytest.raises(InvalidToken):
        MINT.read(token)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b", "a.b.c.d", "a b.c.d", "é.b.c", "a.b.c\n", "a.b.c\x00", "a.b.c\r\nX: y", "e30.e30", "a.b.c",
     f"{'a' * 8192}.b.c", "{}", "[]"],
)  # fmt: skip
def test_what_is_no_jwt_is_malformed(text: str) -> None:
    """Not three base64url parts with a JSON header, or too large: malformed, not merely refused."""
    with pytest.raises(MalformedToken):
        MINT.read(text)


def test_times_are_not_judged_here() -> None:
    """A token of long ago and one of the future are read: the ledger's clock decides."""
    for shift in (-(10**9), 10**9):
        record = replace(RECORD, rotated_ms=(NOW + shift) * 1000, expires=NOW + shift + 60, auth_time=NOW + shift)
        assert MINT.read(MINT.refresh(LOGIN, FAMILY, record)).expires == NOW + shift + 60


def test_secrets_of_their_own() -> None:
    """A refresh secret of its own changes the key and its id, and not the access tokens' key."""
    other = Mint(token_settings(refresh_secret="hush-refresh-secret-of-at-least-32-bytes"))
    assert other.key_id != MINT.key_id
    with pytest.raises(InvalidToken):
        MINT.read(other.refresh(LOGIN, FAMILY, RECORD))
    access = other.access(LOGIN, NOW, NOW + 900)
    assert jwt.decode(access, SECRET, ["HS256"], _NO_TIMES, audience="backend")["sub"] == "42"


def test_a_fingerprint_is_keyed_and_short() -> None:
    """The audit name of a token differs between secrets and tells nothing."""
    other = Mint(token_settings(refresh_secret="hush-refresh-secret-of-at-least-32-bytes"))
    assert len(MINT.fingerprint("x")) == 12
    assert MINT.fingerprint("x") != other.fingerprint("x")


def test_nothing_secret_in_a_repr() -> None:
    """Claims and secrets do not show when an object is printed."""
    assert "ann@example.com" not in repr(MINT.read(MINT.refresh(LOGIN, FAMILY, RECORD)))
    assert "hush-" not in repr(MINT)
