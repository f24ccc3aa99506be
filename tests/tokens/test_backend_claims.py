"""What the backend says of a user, and what is made of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.exchange import Buffered, Exchange, Headers, Reply
from gateway.tokens.backend_claims import MAX_ANSWER, SECONDS, BackendClaims, Disowned, Given, NotGiven, Said
from gateway.tokens.settings import IdentitySettings
from tests.support.virtual import virtual
from tests.tokens.support import token_settings

ROUTE = "GET /internal/users/{sub}"


class Body(Buffered):
    """Tells whether it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def _said(content: bytes, status: int = 200, user: str = "42", **identity: Any) -> Said:
    async def forward(exchange: Exchange) -> Reply:
        return Reply(status, [], Buffered(content))

    return await BackendClaims(ROUTE, IdentitySettings(**identity)).ask(user, Exchange("POST", b"/refresh"), forward)


async def test_the_question_is_the_gateways_own() -> None:
    """Host and scheme as the client said; no cookie, no token, no address of the client; the time is the backend's."""
    seen: list[Exchange] = []

    async def forward(exchange: Exchange) -> Reply:
        seen.append(exchange)
        exchange.upstream_seconds += 0.25
        return Reply(200, [], Buffered(b'{"id":"42","role":"admin"}'))

    headers: Headers = [(b"Host", b"portal.example"), (b"Cookie", b"refresh_token=hush-1"), (b"User-Agent", b"x")]
    refresh = Exchange("POST", b"/refresh", headers, peer="192.0.2.1", client="192.0.2.1", scheme="https")
    assert await BackendClaims(ROUTE, IdentitySettings()).ask("42", refresh, forward) == Given({"role": "admin"})
    (asked,) = seen
    assert (asked.method, asked.target, asked.scheme, asked.peer) == ("GET", b"/internal/users/42", "https", "")
    assert asked.headers == [
        (b"Host", b"portal.example"), (b"Accept", b"application/json"), (b"Accept-Encoding", b"identity")
    ]  # fmt: skip
    assert refresh.upstream_seconds == 0.25


@pytest.mark.parametrize(
    ("user", "target"),
    [
        ("a/b", b"/internal/users/a%2Fb"),
        ("ann@example.com", b"/internal/users/ann%40example.com"),
        ("../admin?x=1#y", b"/internal/users/..%2Fadmin%3Fx%3D1%23y"),
        ("ü \r\n", b"/internal/users/%C3%BC%20%0D%0A"),
        ("{sub}", b"/internal/users/%7Bsub%7D"),
    ],
)
async def test_a_user_stays_within_its_segment(user: str, target: bytes) -> None:
    """Percent-encoded: no subject can reach another path, a query or another request."""
    seen: list[bytes] = []

    async def forward(exchange: Exchange) -> Reply:
        seen.append(exchange.target)
        return Reply(500)

    await BackendClaims(ROUTE, IdentitySettings()).ask(user, Exchange("POST", b"/refresh"), forward)
    assert seen == [target]


@pytest.mark.parametrize("user", [".", ".."])
async def test_a_user_that_no_path_can_name_is_not_asked_about(user: str) -> None:
    """Dot segments would be resolved by whoever reads the path, encoded or not."""

    async def forward(exchange: Exchange) -> Reply:
        raise AssertionError("asked")

    said = await BackendClaims(ROUTE, IdentitySettings()).ask(user, Exchange("POST", b"/refresh"), forward)
    assert said == NotGiven("content")


@pytest.mark.parametrize(
    "content",
    [
        b'{"user":{"id":"42","email":"a@example.com","role":"admin"}}',
        b'{"user":{"id":42,"email":"a@example.com","role":"admin","more":1}}',
        b'{"id":42,"email":"a@example.com","role":"admin"}',
        b'{"email":"a@example.com","role":"admin"}',
        b'{"user":{"email":"a@example.com","role":"admin"}}',
    ],
)
async def test_an_answer_is_a_logins_or_the_user_alone(content: bytes) -> None:
    """The pointers of a login, from the root or from the object that holds the subject; the subject may be left out."""
    assert await _said(content) == Given({"email": "a@example.com", "role": "admin"})


async def test_a_claim_that_is_gone_is_gone() -> None:
    """The answer replaces the claims, it does not add to them."""
    assert await _said(b'{"id":"42","role":null}') == Given({"role": None})
    assert await _said(b'{"id":"42"}') == Given({})


async def test_claims_beside_the_user() -> None:
    """A pointer that leads elsewhere than to the user's object is taken as it is."""
    claims = {"role": "/user/role", "plan": "/account/plan"}
    content = b'{"user":{"id":"42","role":"x"},"account":{"plan":"pro"}}'
    assert await _said(content, claims=claims) == Given({"role": "x", "plan": "pro"})
    assert await _said(b'{"id":"42","role":"x","account":{"plan":"pro"}}', claims=claims) == Given(
        {"role": "x", "plan": "pro"}
    )
    assert await _said(b'{"id":"42","role":"x"}', subject="/id", claims={"role": "/role"}) == Given({"role": "x"})


@pytest.mark.parametrize(
    "content",
    [
        b"", b"oops", b"[]", b'"42"', b"{}", b'{"user":null}', b'{"id":"43","role":"admin"}',
        b'{"user":{"id":"43","email":"b@example.com"}}', b'{"id":"42","role":NaN}',
        b'{"id":"42","role":"' + b"x" * 2048 + b'"}', b'{"id":"42","x":"' + b"x" * MAX_ANSWER + b'"}',
    ],
    ids=range(11),
)  # fmt: skip
async def test_what_is_no_answer(content: bytes) -> None:
    """Nothing, no JSON object, another user, nothing of use or too much: the claims stay what they were."""
    assert await _said(content) == NotGiven("content")


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_user_that_is_disowned(status: int) -> None:
    """Whatever the answer says besides."""
    assert await _said(b'{"id":"42"}', status) == Disowned(status)


@pytest.mark.parametrize("status", [301, 304, 400, 401, 429, 500, 502, 503])
async def test_another_status_says_nothing(status: int) -> None:
    """A backend that fails, redirects or asks for credentials has not judged the user."""
    assert await _said(b'{"id":"42","role":"admin"}', status) == NotGiven("status")


@pytest.mark.parametrize("code", ["upstream-unreachable", "upstream-timeout"])
async def test_a_backend_that_cannot_be_reached(code: Code) -> None:
    """Its error is not the client's."""

    async def forward(exchange: Exchange) -> Reply:
        raise GatewayError(code)

    said = await BackendClaims(ROUTE, IdentitySettings()).ask("42", Exchange("POST", b"/refresh"), forward)
    assert said == NotGiven("unreachable")


@virtual
async def test_a_backend_that_hangs_is_given_two_seconds() -> None:
    """Before the header section or in the middle of the content; its body is closed."""
    loop, body = asyncio.get_running_loop(), Body(b"x")

    async def silent(exchange: Exchange) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    class Dripping(Body):
        async def __aiter__(self) -> Any:
            yield b'{"id":'
            await asyncio.Event().wait()

        @property
        def length(self) -> int:
            return MAX_ANSWER + 1

    body = Dripping(b"")

    async def dripping(exchange: Exchange) -> Reply:
        return Reply(200, [], body)

    backend = BackendClaims(ROUTE, IdentitySettings())
    for forward in (silent, dripping):
        started = loop.time()
        assert await backend.ask("42", Exchange("POST", b"/refresh"), forward) == NotGiven("timeout")
        assert round(loop.time() - started, 3) == SECONDS
    assert body.closed


async def test_an_answer_that_is_not_read_is_closed() -> None:
    """The connection goes back to the pool."""
    body = Body(b"x")

    async def forward(exchange: Exchange) -> Reply:
        return Reply(500, [], body)

    await BackendClaims(ROUTE, IdentitySettings()).ask("42", Exchange("POST", b"/refresh"), forward)
    assert body.closed


@pytest.mark.parametrize("route", ["GET /internal/users/{sub}", "GET /users?id={sub}&x=1"])
def test_routes_that_can_be_asked(route: str) -> None:
    """A path or a query with the user in it."""
    assert token_settings(claims_from=route).claims_from == route


@pytest.mark.parametrize(
    "route",
    ["/internal/users/{sub}", "POST /users/{sub}", "GET /users", "GET users/{sub}", "GET /{sub}/{sub}", "GET /{id}",
     "GET /u/{sub}#x", "GET /u /{sub}", "GET /ü/{sub}", "GET /u/{sub}\n"],
)  # fmt: skip
def test_routes_that_cannot(route: str) -> None:
    """Another method, no user in it or twice, something that no request target may hold."""
    with pytest.raises(ValueError, match="claims_from"):
        token_settings(claims_from=route)
