"""What must hold of a login, of the guard of a day's calls and of a listener's certificate."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.salesforce.settings import AuthSettings
from gateway.whmcs.settings import WhmcsAuth
from tests.config.support import GOOD_POLICY, Place
from tests.support.tls import Authority

SALESFORCE = GOOD_POLICY.replace("upstream: crm", "upstream: salesforce")
CREDENTIALS = """\
auth:
  type: salesforce_client_credentials
  token_url: https://acme.my.salesforce.com/services/oauth2/token
  client_id: key
  client_secret: hush-secret
"""


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def lines(place: Place, text: str) -> list[str]:
    """The errors of a policy, from its first line behind the common part on."""
    return [line.removeprefix("policies/crm.yaml:") for line in place.policy(SALESFORCE + text).problems()]


def test_complete(place: Place) -> None:
    """A login with all it needs is sound, and nothing is said about it."""
    assert place.policy(SALESFORCE + CREDENTIALS).warnings() == []


def test_jwt_with_its_key_in_a_file(place: Place) -> None:
    """The private key is read from a file beside the policy, which is watched for changes."""
    file = place.folder / "policies" / "sf.key"
    place.policy(SALESFORCE + "auth: {type: salesforce_jwt, client_id: k, username: u, private_key_file: sf.key}\n")
    file.write_bytes(pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    loaded = place.load()
    assert file in loaded.sources
    assert loaded.settings.policies[0].on
    file.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    (problem,) = place.problems()
    assert problem.endswith("must be an RSA private key in PEM form, without a passphrase")


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("salesforce_jwt", ["client_id", "username", "private_key"]),
        ("salesforce_client_credentials", ["client_id", "client_secret"]),
        ("salesforce_password", ["client_id", "client_secret", "username", "password"]),
    ],
)
def test_each_type_has_its_needs(place: Place, kind: str, missing: list[str]) -> None:
    """All that a type needs and the file does not give is told at once."""
    text = f"auth:\n  type: {kind}\n  token_url: https://acme.my.salesforce.com/services/oauth2/token\n"
    found = lines(place, text)
    assert {line.split(": ")[1] for line in found} == {f"auth.{name}" for name in missing}
    assert all(f"is missing; type {kind} needs it" in line for line in found)


def test_a_policy_with_a_login_needs_no_address(place: Place) -> None:
    """Without a base URL the session says where calls go: the policy is on."""
    place.policy(SALESFORCE.replace("base_url: https://crm.example.com\n", "") + CREDENTIALS)
    loaded = place.load()
    assert loaded.warnings == ()
    assert loaded.settings.policies[0].address == "https://acme.my.salesforce.com"


def test_daily_of_another_vendor(place: Place) -> None:
    """The guard of an upstream that tells no usage is warned of."""
    (line,) = place.policy(GOOD_POLICY + "daily: {}\n").warnings()
    assert "daily: has no effect" in line


def test_a_certificate_and_another_key(place: Place) -> None:
    """A key of another certificate is told, and the right one is sound."""
    authority = Authority(place.folder)
    for name in ("a", "b"):
        authority.files(place.folder / f"{name}.crt", place.folder / f"{name}.key", "127.0.0.1")
    text = "tls: {{cert_file: {0}/a.crt, key_file: {0}/{1}.key}}\n"
    assert lines(place, text.format(place.folder, "a")) == []
    (line,) = lines(place, text.format(place.folder, "b"))
    assert "tls.cert_file: the two files are not a certificate and its key" in line


def test_times_from_the_environment(place: Place) -> None:
    """The three variables of a login give its times, with or without a login of the gateway's own."""
    environ = {"SF_AUTH_TIMEOUT_MS": "1500", "SF_TOKEN_TTL_MS": "2500", "SF_TOKEN_REFRESH_BUFFER_MS": "500"}
    for text in ("", CREDENTIALS):
        auth = place.policy(SALESFORCE + text).load(environ).settings.policies[0].auth
        assert isinstance(auth, AuthSettings)
        assert (auth.timeout, auth.ttl, auth.refresh_buffer) == (1.5, 2.5, 0.5)
    assert place.problems({"SF_TOKEN_TTL_MS": "1000"}) != []


WHMCS = GOOD_POLICY.replace("upstream: crm", "upstream: whmcs")


def test_whmcs_credentials_from_files(place: Place) -> None:
    """Each credential may be in a file, which is watched; its variable then has no say."""
    for name in ("identifier", "secret", "accesskey"):
        (place.folder / "policies").mkdir(exist_ok=True)
        (place.folder / "policies" / name).write_text(f"hush-{name}\n")
    text = "auth: {type: whmcs, identifier_file: identifier, secret_file: secret, accesskey_file: accesskey}\n"
    loaded = place.policy(WHMCS + text).load({"WHMCS_SECRET": "hush-other"})
    auth = loaded.settings.policies[0].auth
    assert isinstance(auth, WhmcsAuth)
    assert auth.fields == [(name, f"hush-{name}") for name in ("identifier", "secret", "accesskey")]
    assert place.folder / "policies" / "secret" in loaded.sources


def test_whmcs_credentials_from_the_environment(place: Place) -> None:
    """A type alone takes its variables; without the type, or with an empty one, there is nothing to take."""
    environ = {"WHMCS_IDENTIFIER": "me", "WHMCS_SECRET": "hush-1", "WHMCS_ACCESSKEY": ""}
    auth = place.policy(WHMCS + "auth: {type: whmcs}\n").load(environ).settings.policies[0].auth
    assert isinstance(auth, WhmcsAuth)
    assert auth.fields == [("identifier", "me"), ("secret", "hush-1")]
    for text in ("", "auth: null\n"):
        loaded = place.policy(WHMCS + text).load(environ)
        assert (loaded.settings.policies[0].auth, loaded.warnings) == (None, ())
    (line,) = place.policy(WHMCS + "auth: {type: whmcs, identifier: you, secret: s}\n").warnings({"WHMCS_SECRET": "x"})
    assert "WHMCS_SECRET is set but has no effect" in line


def test_salvage_of_whmcs_credentials(place: Place) -> None:
    """One mistake in the section hides no other."""
    found = place.policy(WHMCS + "auth: {type: whmcs, identifier: [1], bogus: 1}\n").problems()
    assert [line.split(": ")[1] for line in found] == ["auth.secret", "auth.identifier", "auth.bogus"]
