"""Names of fields as PHP reads them."""

from __future__ import annotations

import pytest

from gateway.whmcs.names import is_credential, variable


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b"secret", b"secret"),
        (b"Secret", b"secret"),
        (b"  secret", b"secret"),
        (b"secret[]", b"secret"),
        (b"secret[a][b]", b"secret"),
        (b"secret\0x", b"secret"),
        (b"api key", b"api_key"),
        (b"api.key", b"api_key"),
        (b"custom[0]", b"custom"),
        (b"[0]", b""),
        (b"\xe9t\xe9", b"\xe9t\xe9"),
        (b"", b""),
    ],
)
def test_variables(name: bytes, read: bytes) -> None:
    """A name stands for the variable that PHP makes of it; an element for the whole."""
    assert variable(name) == read


@pytest.mark.parametrize("name", [b"identifier", b"secret[0]", b" accesskey", b"username", b"password", b"api.key"])
def test_credentials(name: bytes) -> None:
    """WHMCS's own fields for credentials, older ones and other clients' are known, in every spelling."""
    assert is_credential(name)


@pytest.mark.parametrize("name", [b"password2", b"serviceusername", b"secretquestion", b"clientid", b"custom[secret]"])
def test_parameters(name: bytes) -> None:
    """Parameters of actions are left alone, also where a credential's name is only a part of theirs."""
    assert not is_credential(name)
