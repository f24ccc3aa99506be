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
    user = subject_of(_at(document, identity.subject))
    if user is None:
        return None
    claims = _claims(document, identity.claims)
    if len(json.dumps(claims)) > MAX_CLAIMS:
        raise GatewayError("internal-error", private=f"the claims of a login are larger than {MAX_CLAIMS} bytes")
    return Login(user, claims)


def has_subject(document: dict[str, Any], identity: IdentitySettings) -> bool:
    """Whether there is anything at the subject's place, usable or not."""
    return _at(document, identity.subject) not in (_MISSING, None)


def claims_about(user: str, document: dict[str, Any], identity: IdentitySettings) -> dict[str, Any] | None:
    """Return the claims in an answer that was asked for about `user`, None when it cannot be used.

    The answer looks like a login's, or is the object of a login's that holds the subject: with the pointers `/user/id`
    and `/user/role` both `{"user": {"id": 1, "role": "x"}}` and `{"id": 1, "role": "x"}` are understood. It may leave
    the subject out, but not name another; claims larger than a login's may be are none.
    """
    holder = identity.subject.rpartition("/")[0] + "/"
    within = {name: "/" + pointer.removeprefix(holder).removeprefix("/") for name, pointer in identity.claims.items()}
    shapes = [(identity.subject, identity.claims), ("/" + identity.subject.removeprefix(holder), within)]
    found = [(subject_of(_at(document, subject)), _claims(document, pointers)) for subject, pointers in shapes]
    named = [pair for pair in found if pair[0] is not None]
    for subject, claims in named or found:
        if subject == user or (subject is None and claims):
            return claims if len(json.dumps(claims)) <= MAX_CLAIMS else None
    return None


def _claims(document: dict[str, Any], pointers: dict[str, str]) -> dict[str, Any]:
    found = {name: _at(document, pointer) for name, pointer in pointers.items()}
    return {name: value for name, value in found.items() if value is not _MISSING}


def subject_of(value: Any) -> str | None:
    """Return a user's name as tokens carry it, None when the value is none (RFC 7519 section 4.1.2)."""
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
