"""Names of form fields, as the PHP behind WHMCS reads them, and those that hold credentials.

The one idea: a name is judged by the variable that PHP makes of it, so that no spelling (`secret[]`, ` secret`,
`api.key`) carries a credential past. Source: PHP's `php_register_variable_ex`; WHMCS, "API authentication".
"""

from __future__ import annotations

from typing import Final

CREDENTIALS: Final = frozenset(
    (b"identifier", b"secret", b"accesskey", b"username", b"password", b"api_key", b"api_secret", b"apikey")
)
"""A client's own: what WHMCS takes, took (a user's name and password), and what clients of others call it. WHMCS's
actions have parameters of other names (`password2`, `serviceusername`)."""


def variable(name: bytes) -> bytes:
    """Return the variable that a field's decoded name stands for, in lower case; of an element, the whole's."""
    whole = name.lstrip(b" ").partition(b"\0")[0].partition(b"[")[0]
    return whole.replace(b" ", b"_").replace(b".", b"_").lower()


def is_credential(name: bytes) -> bool:
    """Whether a field of this decoded name holds a credential."""
    return variable(name) in CREDENTIALS
