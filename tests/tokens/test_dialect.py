"""The words of `camel` and `oauth2`."""

from __future__ import annotations

import json

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Reply, header
from gateway.tokens.carrier import refuse_query
from gateway.tokens.dialect import OAuth2, OAuth2Errors, UnsupportedGrantType, dialect_of, malformed

FORM = [(b"Content-Type", b"application/x-www-form-urlencoded")]
REFRESH = b"grant_type=refresh_token&refresh_token="


def _form(content: bytes, operation: str = "refresh", headers: list[tuple[bytes, bytes]] = FORM) -> str | None:
    return OAuth2().presented(Exchange("POST", b"/", headers), content, operation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "token"),
    [
        (REFRESH + b"a.b.c", "a.b.c"),
        (b"refresh_token=a%2Eb&grant_type=refresh_token", "a.b"),
        (REFRESH + b"a&client_id=app&client_secret=hush-s&scope=openid+email&resource=x", "a"),
        (REFRESH, None),
        (b"grant_type=refresh_token", None),
        (b"", None),
    ],
)
def test_a_form_brings_at_most_one(content: bytes, token: str | None) -> None:
    """Unknown parameters, scope and the client's credentials are not looked at; an empty one counts as left out."""
    assert _form(content) == token


@pytest.mark.parametrize(
    "content",
    [b"refresh_token=a", b"grant_type=&refresh_token=a", b"x", b"\xff", b"grant_type=%ff",
     REFRESH + b"a&refresh_token=a", REFRESH + b"a&refresh_token=", b"grant_type=refresh_token&" + REFRESH + b"a",
     REFRESH + b"a&scope=a&scope=b", REFRESH + b"a" + b"".join(b"&p%d=" % n for n in range(100))],
    ids=range(10),
)  # fmt: skip
def test_a_form_that_is_none_or_repeats_itself(content: bytes) -> None:
    """No grant type, broken encoding, a parameter twice (RFC 6749 section 3.2) or too many: 400."""
    with pytest.raises(GatewayError, match="invalid-request") as caught:
        _form(content)
    assert not isinstance(caught.value, UnsupportedGrantType)


@pytest.mark.parametrize("grant", [b"password", b"authorization_code", b"Refresh_Token", b"client_credentials"])
def test_another_grant_is_not_supported(grant: bytes) -> None:
    """Only refreshes are done here; grant types are case-sensitive."""
    with pytest.raises(UnsupportedGrantType):
        _form(b"refresh_token=a&grant_type=" + grant)


def test_the_media_type_is_looked_at() -> None:
    """Parameters and case of the media type do not matter; another one brings no token."""
    odd = [(b"content-type", b"Application/X-WWW-Form-URLencoded; charset=UTF-8")]
    assert _form(REFRESH + b"a", headers=odd) == "a"
    for other in ([], [(b"Content-Type", b"application/json")], [(b"Content-Type", b"text/plain")]):
        assert _form(REFRESH + b"a", headers=other) is None


@pytest.mark.parametrize(
    ("content", "token"),
    [(b"token=a&token_type_hint=refresh_token", "a"), (b"refresh_token=a", "a"), (b"token_type_hint=x", None)],
)
def test_a_logout_is_a_revocation(content: bytes, token: str | None) -> None:
    """RFC 7009 section 2.1; no grant type is asked for."""
    assert _form(content, "logout") == token


@pytest.mark.parametrize("target", [b"/r?token=x", b"/r?refresh_token=x", b"/r?a=1&Token"])
def test_a_token_in_the_query_is_refused(target: bytes) -> None:
    """What is a parameter of the form must not stand in the URL; `camel` knows no `token`."""
    with pytest.raises(GatewayError, match="invalid-request"):
        refuse_query(Exchange("POST", target), OAuth2())
    refuse_query(Exchange("POST", b"/r?token=x"), dialect_of("camel"))


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (GatewayError("invalid-token", headers=[(b"WWW-Authenticate", b"Bearer"), (b"X", b"1")]), "invalid_grant"),
        (malformed(), "invalid_request"),
        (GatewayError("invalid-request"), "invalid_request"),
        (UnsupportedGrantType(), "unsupported_grant_type"),
    ],
)
async def test_refusals_in_the_words_of_oauth(error: GatewayError, name: str) -> None:
    """RFC 6749 section 5.2: always 400, JSON that no cache keeps, no challenge; other fields (cleared cookies) stay."""

    async def forward(exchange: Exchange) -> Reply:
        raise error

    reply = await OAuth2Errors(lambda exchange: True).handle(Exchange("POST", b"/"), forward)
    told = json.loads(b"".join([chunk async for chunk in reply.body]))
    assert (reply.status, told["error"], reply.error) == (400, name, error.code)
    assert set(told["error_description"]).isdisjoint('"\\')
    assert header(reply.headers, b"cache-control") == b"no-store"
    assert header(reply.headers, b"pragma") == b"no-cache"
    assert header(reply.headers, b"www-authenticate") is None
    assert header(reply.headers, b"x") == header(error.headers, b"x")


@pytest.mark.parametrize("code", ["redis-required", "too-many-attempts", "internal-error"])
async def test_what_oauth_has_no_word_for_passes(code: str) -> None:
    """An outage or a limit keeps the gateway's own shape and status."""

    async def forward(exchange: Exchange) -> Reply:
        raise GatewayError(code)  # type: ignore[arg-type]

    with pytest.raises(GatewayError, match=code):
        await OAuth2Errors(lambda exchange: True).handle(Exchange("POST", b"/"), forward)


async def test_other_routes_keep_their_words() -> None:
    """Only the token endpoints speak OAuth."""

    async def forward(exchange: Exchange) -> Reply:
        raise malformed()

    with pytest.raises(GatewayError):
        await OAuth2Errors(lambda exchange: False).handle(Exchange("POST", b"/"), forward)
