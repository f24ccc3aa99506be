"""Keys and refresh secrets as operators give them. What is refused by its text alone is in the fixtures."""

from __future__ import annotations

import pytest

from tests.config.support import SECRET, Place
from tests.tokens.key_material import encrypted_pem, pem

FROM_FILE = """\
tokens:
  enabled: true
  routes: {{jwks: /.well-known/jwks.json}}
  keys:
    - kid: main
      alg: {alg}
      private_key_file: keys/main.pem
"""
LINE = "config.yaml:7:25: tokens.keys[0].private_key: "


def with_key(place: Place, alg: str, text: str) -> Place:
    (place.folder / "keys").mkdir(exist_ok=True)
    (place.folder / "keys" / "main.pem").write_text(text)
    return place.config(FROM_FILE.format(alg=alg))


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_private_keys_from_files(place: Place, alg: str) -> None:
    """A PEM file is all an asymmetric key needs; a set that publishes it is nothing to warn of."""
    with_key(place, alg, pem(alg))
    assert place.problems() == []
    assert place.warnings() == []


@pytest.mark.parametrize(
    ("alg", "kind", "text"),
    [
        ("RS256", "RSA 1024", "RS256 needs a key of at least 2048 bits; this has 1024"),
        ("RS256", "ES256", "RS256 needs an RSA key; this is of another kind"),
        ("ES256", "P-384", "ES256 needs a key on the curve P-256; this is on secp384r1"),
        ("EdDSA", "Ed448", "EdDSA needs an Ed25519 key; this is of another kind"),
    ],
)
def test_keys_of_another_kind(place: Place, alg: str, kind: str, text: str) -> None:
    """What is weak or does not fit its algorithm is refused at the line that names the file."""
    assert with_key(place, alg, pem(kind)).problems() == [LINE + text]


def test_an_encrypted_key(place: Place) -> None:
    """A passphrase could not be asked for."""
    assert with_key(place, "RS256", encrypted_pem("RS256")).problems() == [
        LINE + "is encrypted; give it without a passphrase"
    ]


def test_a_key_inline(place: Place) -> None:
    """A PEM text may stand in the file itself, or come from a variable."""
    text = "tokens: {enabled: true, keys: [{kid: main, alg: ES256, private_key: '${KEY}'}]}\n"
    assert place.config(text).problems({"KEY": pem("ES256")}) == []


def test_nothing_is_judged_while_tokens_are_off(place: Place) -> None:
    """The shipped file has an empty secret, which is fine until tokens are on."""
    off = f"tokens: {{keys: [{{kid: main}}], refresh_secret: '', refresh_secrets: [{{secret: {SECRET}}}]}}\n"
    assert place.config(off).problems() == []
    assert len(place.config(off.replace("{keys", "{enabled: true, keys", 1)).problems()) == 3


def test_a_secret_derived_from_an_unsound_key_is_not_told_twice(place: Place) -> None:
    """The key's own problem is enough."""
    text = "tokens: {enabled: true, keys: [{kid: main, secret: hush-short}], refresh_secrets: [{key: main}]}\n"
    assert len(place.config(text).problems()) == 1


def test_a_key_set_without_keys(place: Place) -> None:
    """Publishing the keys of HS256 is warned of: there is nothing in the set."""
    text = f"tokens: {{enabled: true, routes: {{jwks: /keys}}, keys: [{{kid: main, secret: {SECRET}}}]}}\n"
    (line,) = place.config(text).warnings()
    assert "tokens.routes.jwks: there is nothing to publish" in line
