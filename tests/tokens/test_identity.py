"""Who a login's answer is about."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.tokens.claims import Login
from gateway.tokens.identity import login_of
from gateway.tokens.settings import IdentitySettings


def _login(document: dict[str, Any], subject: str = "/user/id", **claims: str) -> Login | None:
    return login_of(document, IdentitySettings(subject=subject, claims=claims))


@pytest.mark.parametrize(
    ("value", "user"),
    [("42", "42"), (42, "42"), (-1, "-1"), ("ü", "ü"), ("x" * 256, "x" * 256), ("a\nb", "a\nb"), ("}{", "}{")],
)
def test_a_subject_is_a_string_or_an_integer(value: object, user: str) -> None:
    """Both forms of one number are one user; whatever a string holds is kept."""
    assert _login({"user": {"id": value}}) == Login(user)


@pytest.mark.parametrize("value", [None, True, 1.5, "", "x" * 257, [], {}, "\ud800"])
def test_anything_else_names_nobody(value: object) -> None:
    """null, booleans, fractions, empty or too long texts and containers are no subject."""
    assert _login({"user": {"id": value}}) is None


@pytest.mark.parametrize("document", [{}, {"user": None}, {"user": "42"}, {"user": ["42"]}, {"mfa": True}])
def test_a_missing_subject_names_nobody(document: dict[str, Any]) -> None:
    """An answer that asks for a second factor names nobody."""
    assert _login(document) is None


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("/a~1b", "slash"), ("/m~0n", "tilde"), ("/~01", "order"), ("/list/1", "second"), ("/", "empty"), ("/0", "zero")],
)
def test_pointers_are_those_of_rfc_6901(pointer: str, value: str) -> None:
    """Escapes, indices, an empty name, and a name that looks like an index."""
    document = {"a/b": "slash", "m~n": "tilde", "~1": "order", "list": ["first", "second"], "": "empty", "0": "zero"}
    assert _login(document, pointer) == Login(value)


@pytest.mark.parametrize("pointer", ["/list/2", "/list/01", "/list/-", "/list/-1", "/list/+1", "/list/²"])
def test_what_is_no_index_finds_nothing(pointer: str) -> None:
    """An array is entered by a plain index only."""
    assert _login({"list": ["first", "second"]}, pointer) is None


def test_claims_that_are_there_are_taken() -> None:
    """A claim that is missing is left out, one that is null is null."""
    document = {"user": {"id": 1, "role": None, "tags": ["a"]}}
    login = _login(document, role="/user/role", email="/user/email", tags="/user/tags")
    assert login == Login("1", {"role": None, "tags": ["a"]})


def test_claims_too_large_for_a_token_fail_the_login() -> None:
    """A token that could not be presented again is never minted; dropping a claim silently would be worse."""
    with pytest.raises(GatewayError, match="internal-error"):
        _login({"user": {"id": 1, "blob": "x" * 3000}}, blob="/user/blob")
