"""Names and seals."""

from __future__ import annotations

import base64
import json

from gateway.tokens.guard_answer import Verbatim
from gateway.tokens.guard_vault import MAX_SEALED, Vault, ambiguous
from gateway.tokens.keys import Keys, Ring
from tests.tokens.guard_support import guard_settings, jwt_like

TOKEN = "hush-opaque-token"
ANSWER = Verbatim(200, b"Fine", ((b"Set-Cookie", b"a=\xff"), (b"set-cookie", b"b=2")), b"line\nline\x00")
OTHER = {"refresh_secret": None, "refresh_secrets": [{"secret": "hush-another-secret-of-32-bytes-or-more"}]}


def vault(**changes: object) -> Vault:
    return Vault(Keys(guard_settings(**changes)))


def test_a_sealed_answer_opens_with_its_token_only() -> None:
    """Byte for byte with the token under its name; not with another token, name, secret, or a changed seal."""
    ours = vault()
    name = ours.names(TOKEN)[0]
    sealed = ours.seal(TOKEN, name, ANSWER)
    assert sealed is not None
    assert ours.open(TOKEN, name, sealed) == ANSWER
    assert ours.open("hush-other", name, sealed) is None
    assert ours.open(TOKEN, ours.names("hush-other")[0], sealed) is None
    assert ours.open(TOKEN, name, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert ours.open(TOKEN, name, b"short") is None
    theirs = vault(**OTHER)
    assert theirs.open(TOKEN, theirs.names(TOKEN)[0], sealed) is None


def test_the_key_of_a_seal_is_the_tokens() -> None:
    """given a token, its name and the secrets, then another token opens nothing even under that very name."""

    class OneName(Vault):
        def names(self, token: str) -> tuple[str, ...]:
            return tuple("a" * 32 for _ in super().names(token))

    ours = OneName(Keys(guard_settings()))
    (name,) = ours.names(TOKEN)
    sealed = ours.seal(TOKEN, name, ANSWER)
    assert sealed is not None
    assert ours.open(TOKEN, name, sealed) == ANSWER
    assert ours.open("hush-other", name, sealed) is None


def test_nothing_of_the_answer_is_in_the_seal() -> None:
    """Two seals of one answer differ, and neither shows it."""
    ours = vault()
    name = ours.names(TOKEN)[0]
    first, second = ours.seal(TOKEN, name, ANSWER), ours.seal(TOKEN, name, ANSWER)
    assert first is not None
    assert first != second
    assert b"line" not in first
    assert b"Set-Cookie" not in first


def test_a_large_answer_is_not_sealed() -> None:
    """What does not fit is not kept."""
    ours = vault()
    assert ours.seal(TOKEN, ours.names(TOKEN)[0], Verbatim(200, content=bytes(MAX_SEALED))) is None


def test_names_are_keyed_hashes() -> None:
    """Of one length, different for tokens and for secrets, and never a piece of the token."""
    names = {vault().names(TOKEN), vault().names(TOKEN + "x"), vault(**OTHER).names(TOKEN), vault().names("é\ud800")}
    assert len(names) == 4
    assert {len(name) for (name,) in names} == {32}
    assert vault().fingerprint(TOKEN) not in vault().names(TOKEN)[0]


def test_a_token_is_found_by_the_names_of_all_secrets() -> None:
    """given a new secret in front of the old one, then new names come first, and what was sealed before still opens."""
    keys = Keys(guard_settings())
    ours = Vault(keys)
    (old,) = ours.names(TOKEN)
    sealed = ours.seal(TOKEN, old, ANSWER)
    assert sealed is not None
    secrets = [*OTHER["refresh_secrets"], {"secret": guard_settings().refresh_secret.get_secret_value()}]  # type: ignore[misc,union-attr]
    keys.ring = Ring.of(guard_settings(refresh_secret=None, refresh_secrets=secrets))
    first, second = ours.names(TOKEN)
    assert second == old
    assert first == vault(**OTHER).names(TOKEN)[0]
    assert ours.open(TOKEN, old, sealed) == ANSWER
    keys.ring = Ring.of(guard_settings(**OTHER))
    assert ours.open(TOKEN, old, sealed) is None


def test_spellings_of_a_token_have_one_name() -> None:
    """Percent-encoding, blanks, padding and case change neither the name nor the seal; anything else does."""
    ours = vault()
    names = ours.names("hush-a/b")
    for text in ("hush-a%2Fb", "%68ush-a/b", " hush-a/b", "hush-a/b==", "hush-a%2fb%3D", "Hush-A/B"):
        assert ours.names(text) == names
    assert ours.names("hush-a%252Fb") != names
    sealed = ours.seal("hush-a/b", names[0], ANSWER)
    assert sealed is not None
    assert ours.open("hush-a%2Fb", names[0], sealed) == ANSWER


def test_spellings_of_a_jwt_have_one_name() -> None:
    """Padding anywhere, odd characters, the other alphabet and loose bits are passed over by one decoder or another."""
    token = jwt_like(sub="42", x="??>>")
    head, payload, signature = token.split(".")
    names = vault().names(token)
    padded = ".".join(part + "=" * (-len(part) % 4) for part in (head, payload, signature))
    standard = ".".join((head, payload.replace("-", "+").replace("_", "/"), signature))
    for text in (padded, standard, f"{token}!", f"{head}.{payload}.c2\nln", f"%65{token[1:]}%3D"):
        assert vault().names(text) == names
    for text in (f"{token}AA", jwt_like(sub="43"), token.upper()):
        assert vault().names(text) != names


def test_loose_bits_of_a_signature_do_not_count() -> None:
    """given a last digit with bits that no byte has room for, then it is the same token (RFC 4648 section 3.5)."""
    head, payload, _ = jwt_like(sub="42").split(".")
    assert vault().names(f"{head}.{payload}.AA") == vault().names(f"{head}.{payload}.AB")


def test_both_forms_of_an_ecdsa_signature_are_one_token() -> None:
    """given (r, s), then (r, -s) is as good to whoever verifies it, and has the same name; another r has not."""
    head, payload = (encoded({"alg": "ES256"}), encoded({"sub": "42"}))
    first, second, other = (encoded_bytes(r * 32 + s * 32) for r, s in ((b"r", b"s"), (b"r", b"t"), (b"q", b"s")))
    names = vault().names(f"{head}.{payload}.{first}")
    assert vault().names(f"{head}.{payload}.{second}") == names
    assert vault().names(f"{head}.{payload}.{other}") != names


def test_an_answer_opens_for_its_client_only() -> None:
    """given what a client proved itself with, then the same token with another proof or none opens nothing."""
    ours = vault()
    name = ours.names(TOKEN)[0]
    sealed = ours.seal(TOKEN, name, ANSWER, b"proof")
    assert sealed is not None
    assert ours.open(TOKEN, name, sealed, b"proof") == ANSWER
    assert ours.open(TOKEN, name, sealed, b"other") is None
    assert ours.open(TOKEN, name, sealed) is None


def test_what_is_no_jwt_is_never_ambiguous() -> None:
    """Opaque tokens are taken as they are, dots and padding included; so is a JWT, padded or not."""
    for text in ("hush-a.b.c=", "s%3Ahush.a.b", "e30.a=b.b", "bnVsbA.x=y.y=", "", "é.\ud800.x", jwt_like(sub="42")):
        assert not ambiguous(text)
    assert not ambiguous(jwt_like(sub="42") + "==")
    assert ambiguous(jwt_like(sub="42") + "=AAAA")


def encoded(claims: dict[str, str]) -> str:
    return encoded_bytes(json.dumps(claims).encode())


def encoded_bytes(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
