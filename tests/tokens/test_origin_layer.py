"""Where tokens travel in cookies, pages of other origins are kept from them."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Headers, Reply, header, header_values
from gateway.tokens.origin_layer import OriginLayer
from tests.tokens.support import token_settings

OURS = (b"Set-Cookie", b"refresh_token=hush-r; Path=/")
THEIRS = (b"Set-Cookie", b"theme=dark")
EVIL = (b"Origin", b"https://evil.example")
COOKIE = (b"Cookie", b"refresh_token=hush-r")
FRIEND = "https://app.example.com"


class _Inner:
    def __init__(self, error: str = "") -> None:
        self.asked = 0
        self.error = error

    async def __call__(self, exchange: Exchange) -> Reply:
        self.asked += 1
        if self.error:
            raise GatewayError(self.error, headers=[OURS])  # type: ignore[arg-type]
        return Reply(200, [OURS, THEIRS])


def _layer(carrier: str, *, routes: bool = True, answered: bool = True) -> OriginLayer:
    return OriginLayer(
        token_settings(carrier=carrier, allowed_origins=(FRIEND,)),
        matches=lambda exchange: routes,
        answered=lambda exchange: answered,
        authority=lambda exchange: header(exchange.headers, b"host") or b"",
    )


def _request(*headers: tuple[bytes, bytes]) -> Exchange:
    return Exchange("POST", b"/refresh", [(b"Host", b"Portal.example:80"), *headers])


@pytest.mark.parametrize(
    ("carrier", "brought"),
    [("cookie", [COOKIE]), ("cookie", []), ("both", [COOKIE]), ("both", [(b"Cookie", b"access_token=hush-a")])],
)
@pytest.mark.parametrize(
    "said", [EVIL, (b"Origin", b"null"), (b"Origin", b"https://portal.example"), (b"Sec-Fetch-Site", b"cross-site")]
)
async def test_a_foreign_page_is_refused(carrier: str, brought: Headers, said: tuple[bytes, bytes]) -> None:
    """403 before anything is asked; with cookies alone also without one, since the answer would set or clear them."""
    inner = _Inner()
    with pytest.raises(GatewayError, match="forbidden-origin") as caught:
        await _layer(carrier).handle(_request(said, *brought), inner)
    assert (caught.value.status, inner.asked, caught.value.headers) == (403, 0, [])


@pytest.mark.parametrize("carrier", ["cookie", "both"])
@pytest.mark.parametrize(
    "said",
    [
        [],
        [(b"Origin", b"http://portal.example")],
        [(b"Sec-Fetch-Site", b"same-origin")],
        [(b"Origin", b"https://portal.example"), (b"Sec-Fetch-Site", b"same-origin")],
        [(b"Origin", FRIEND.encode())],
    ],
    ids=range(5),
)
async def test_who_may_is_served_with_cookies(carrier: str, said: Headers) -> None:
    """No browser, the same origin (also where a proxy hides its TLS) and an allowed one."""
    reply = await _layer(carrier).handle(_request(COOKIE, *said), _Inner())
    assert header_values(reply.headers, b"set-cookie") == [OURS[1], THEIRS[1]]


async def test_a_foreign_page_with_a_token_in_the_body_gets_no_cookie() -> None:
    """carrier both: served, but neither the answer nor a refusal sets or clears a cookie of ours in that browser."""
    reply = await _layer("both").handle(_request(EVIL), _Inner())
    assert (reply.status, reply.headers) == (200, [THEIRS])
    with pytest.raises(GatewayError, match="invalid-token") as caught:
        await _layer("both").handle(_request(EVIL), _Inner("invalid-token"))
    assert caught.value.headers == []


async def test_tokens_in_json_are_not_subject_to_it() -> None:
    """carrier json: a page that has the token was given it."""
    reply = await _layer("json").handle(_request(EVIL, COOKIE), _Inner())
    assert reply.headers == [OURS, THEIRS]


async def test_other_routes_are_not_subject_to_it() -> None:
    """The backend judges origins for its own routes."""
    reply = await _layer("cookie", routes=False).handle(_request(EVIL, COOKIE), _Inner())
    assert reply.headers == [OURS, THEIRS]


@pytest.mark.parametrize("carrier", ["json", "cookie", "both"])
async def test_an_allowed_page_can_read_the_answer(carrier: str) -> None:
    """CORS fields for it, on answers and on refusals, never for another origin and never twice over the backend's."""
    friend = _request((b"Origin", FRIEND.encode()))
    reply = await _layer(carrier).handle(friend, _Inner())
    assert header(reply.headers, b"access-control-allow-origin") == FRIEND.encode()
    assert header(reply.headers, b"access-control-allow-credentials") == b"true"
    with pytest.raises(GatewayError) as caught:
        await _layer(carrier).handle(friend, _Inner("invalid-token"))
    assert header(caught.value.headers, b"access-control-allow-origin") == FRIEND.encode()
    own = await _layer(carrier).handle(_request((b"Origin", b"http://portal.example")), _Inner())
    assert header(own.headers, b"access-control-allow-origin") is None
    login = await _layer(carrier, answered=False).handle(friend, _Inner())
    assert header(login.headers, b"access-control-allow-origin") is None


async def test_the_backends_cookies_are_its_own_in_guard() -> None:
    """mode guard: a foreign page is refused only with the refresh cookie; other answers pass whole."""
    settings = token_settings(carrier="cookie").model_copy(update={"mode": "guard"})
    layer = OriginLayer(
        settings, matches=lambda _: True, answered=lambda _: False, authority=lambda _: b"portal.example"
    )
    with pytest.raises(GatewayError, match="forbidden-origin"):
        await layer.handle(_request(EVIL, COOKIE), _Inner())
    assert (await layer.handle(_request(EVIL), _Inner())).headers == [OURS, THEIRS]
