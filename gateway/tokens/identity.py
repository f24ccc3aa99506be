"""Who a login's answer is about: JSON pointers (RFC 6901) into its content.

The one idea: an answer without a usable subject is none of the gateway's business (a second factor is still to come)
and passes as it is.
"""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.tokens.claims import MAX_SUBJECT, Login
from gateway.tokens.settings import IdentitySettings

MAX_CLAIMS: Final = 2048
"""Bytes of the claims as JSON: the refresh token that carries them has to fit into a cookie."""
_MISSING: Final = object()


def login_of(document: dict[str, Any], identity: IdentitySettings) -> Login | None:
    """Return who logged in, None when the content names nobody.

    Raises:
        GatewayError: `internal-error`, when the claims are larger than a token may be.
    """
    user = _subject(_at(document, identity.subject))
    if user is None:
        return None
    found = {name: _at(document, pointer) for name, pointer in identity.claims.items()}
    claims = {name: value for name, value in found.items() if value is not _MISSING}
    if len(json.dumps(claims)) > MAX_CLAIMS:
        raise GatewayError("internal-error", private=f"the claims of a login are larger than {MAX_CLAIMS} bytes")
    return Login(user, claims)


def _subject(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_SUBJECT:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate: no key can be made of it
        return None
    return value


def _at(document: Any, pointer: str) -> Any:
    for escaped in pointer.split("/")[1:]:
        step = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and _is_index(step) and int(step) < len(document):
            document = document[int(step)]
        else:
            return _MISSING
    return document


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdigit() and (step == "0" or step[0] != "0")
