"""What must hold between keys of `config.yaml`: what is allowed, and warnings. What is refused is in the fixtures."""

from __future__ import annotations

import pytest

from gateway.config import ConfigInvalid
from tests.config.support import SECRET, Place
from tests.support.tls import Authority

TOKENS = f"tokens:\n  enabled: true\n  keys: [{{kid: main, secret: {SECRET}}}]\n"
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "redis://cache:6379/0",
        "redis://cache",
        "rediss://user:hush-pass%2Fword@cache:6380/1",
        "redis://cache?db=3",
        "redis://cache/",
        "redis://[::1]:6379",
        "unix:///run/redis.sock?db=1",
        "unix://:hush-password@/run/redis.sock",
        "redis+sentinel://s1/main",
        "redis+sentinel://:hush-password@s1:26379,s2:26379/main/2",
        "rediss+sentinel://user:hush-pass%2Fword@[::1]:26379,s2/main",
        "redis+cluster://c1",
        "rediss+cluster://user:hush-password@c1:7000,[fd00::1]:7001/",
    ],
)
def test_addresses_of_redis(place: Place, url: str) -> None:
    """Every supported form of an address is taken."""
    assert place.config(f"redis:\n  url: '{url}'\n").problems() == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://",
        "redis://cache:port",
        "redis://:hush-a/b@cache",
        "redis://:hush-a#b@cache",
        "redis://[cache",
        "hush-password",
        "hush-password://cache",
        "redis+hush-password://cache",
        "http://:hush-password@cache",
        "unix://hush-password@run/sock",
        "unix://",
        "redis://cache/main",
        "redis://cache?protocol=3",
        "redis://cache/1?db=2",
        "redis://cache?hush-password",
        "REDIS://cache",
        "redis+sentinel://:hush-a@s1,,s2/main",
        "redis+sentinel://s1//0",
        "redis+sentinel://s1/hush-main/one",
        "redis+sentinel://s1/main?db=1",
        "redis+cluster://c1:0",
        "redis+cluster://:hush-a@c1,hush-b@c2",
        "redis+cluster://c1?hush-x=1",
        "unix+cluster://c1",
    ],
)
def test_wrong_address_is_not_repeated(place: Place, url: str) -> None:
    """An address that is refused is told of without a part of it, because it may hold a password."""
    for text, environ in ((f"redis:\n  url: '{url}'\n", {}), ("redis:\n  url: ${ADDRESS}\n", {"ADDRESS": url})):
        (line,) = place.config(text).problems(environ)
        assert line.startswith("config.yaml:2:8: redis.url: ")
        assert "hush" not in line


@pytest.mark.parametrize("kubernetes", [True, False])
def test_embedded_on_purpose(place: Place, kubernetes: bool) -> None:
    """`allow_embedded` takes the embedded Redis in strict mode and in Kubernetes."""
    place.config("redis: {allow_embedded: true}\ntokens: {require_redis: true}\n")
    assert place.problems(KUBERNETES if kubernetes else {}) == []


def test_embedded_by_default_is_refused_too(place: Place) -> None:
    """Where `redis` is left out, both reasons against the embedded one are given at the beginning of the file."""
    (line,) = place.config("tokens: {require_redis: true}\n").problems(KUBERNETES)
    assert line.startswith("config.yaml:1:1: redis.url: embedded is refused, because tokens.require_redis is on and ")


def test_strict_mode_by_variable(place: Place) -> None:
    """Strict mode counts where it comes from the environment, as it does in production."""
    environ = {"AUTH_REQUIRE_REDIS_FOR_TOKENS": "true"}
    assert len(place.problems(environ)) == 1
    assert place.config("redis: {url: redis://cache}\n").problems(environ) == []


def test_secrets_are_measured_in_bytes(place: Place) -> None:
    """32 bytes are enough for HS256, whatever they spell; a key is only needed where tokens are on."""
    assert place.config(TOKENS.replace(SECRET, "hush-" + "é" * 14)).problems() == []
    assert place.config(TOKENS.replace(SECRET, "hush-" + "é" * 13)).problems() != []
    assert place.config("tokens: {keys: [{kid: main, secret: ''}]}\n").problems() == []


def test_prefixes_of_cookies(place: Place) -> None:
    """Prefixed cookie names pass when their attributes fit (RFC 6265bis section 4.1.3)."""
    text = "tokens:\n  cookie: {access: __Secure-a, refresh: __Host-r, same_site: none}\n"
    assert place.config(text).problems() == []
    assert len(place.config("tokens:\n  cookie: {refresh: __hOST-r, path: /api}\n").problems()) == 1


def test_lifetimes_may_meet(place: Place) -> None:
    """A refresh token may live as long as its session."""
    assert place.config("tokens: {refresh_ttl: 30d, session_ttl: 30d}\n").problems() == []


def test_cookie_without_secure(place: Place) -> None:
    """A refresh cookie over plain http is warned of, only where there is one."""
    cookie = "  cookie:\n    secure: false\n"
    assert place.config(f"{TOKENS}  carrier: cookie\n{cookie}").warnings() == [
        "config.yaml:6:13: tokens.cookie.secure: the refresh cookie travels over plain http too; set it to true "
        "wherever clients use https"
    ]
    assert place.config(f"{TOKENS}{cookie}").warnings() == []


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("redis: {url: http://x, probe: {interval: 1}}", "redis.url redis.probe.interval"),
        ("redis: {connect_timeout: soon}\ntokens: {require_redis: true}", "redis.url redis.connect_timeout"),
        (
            "tokens: {enabled: true, refresh_ttl: 90d, access_ttl: 100d, max_families_per_user: 0, "
            "keys: [{kid: a, secret: hush-x}]}",
            "tokens.refresh_ttl tokens.access_ttl tokens.max_families_per_user tokens.keys[0].secret",
        ),
        (
            "tokens: {enabled: true, keys: [a, {kid: a, secret: []}, {kid: a, alg: none, secret: hush-x}]}",
            "tokens.keys[0] tokens.keys[1].secret tokens.keys[2].kid tokens.keys[2].alg",
        ),
        (
            "tokens: {enabled: true, keys: [{}], refresh_secret: hush-x}",
            "tokens.keys[0].kid tokens.keys[0].secret tokens.refresh_secret",
        ),
        (
            "tokens: {cookie: {same_site: none, secure: false, access: 'a b'}}",
            "tokens.cookie.same_site tokens.cookie.access",
        ),
        (
            "tokens: {cookie: {secure: false, access: __Host-a, refresh: __Secure-a, path: x, domain: '_'}}",
            "tokens.cookie.access tokens.cookie.refresh tokens.cookie.path tokens.cookie.domain",
        ),
        (
            "tokens: {routes: {login: [x, POST /a], refresh: POST /a, logout: y}}",
            "tokens.routes.login[0] tokens.routes.refresh tokens.routes.logout",
        ),
        ("redis: {url: rediss://x, ca_file: nowhere, probe: 1}", "redis.ca_file redis.probe"),
        (
            "tokens: {enabled: true, keys: [{kid: a, secret_file: nowhere}, {kid: a, secret: hush-x}]}",
            "tokens.keys[0].secret_file tokens.keys[1].kid tokens.keys[1].secret",
        ),
        (
            "tokens: {enabled: true, keys: [{kid: a, alg: RS256, secret_file: nowhere, private_key: hush-x}]}",
            "tokens.keys[0].secret_file tokens.keys[0].private_key",
        ),
        (
            "tokens: {enabled: true, keys: x, refresh_secret: hush-x, refresh_secrets: [{key: a}, {secret: hush-y}]}",
            "tokens.keys tokens.refresh_secret tokens.refresh_secrets tokens.refresh_secrets[1].secret",
        ),
        (
            "tokens: {enabled: true, keys: [{kid: []}], refresh_secrets: [{key: a, secret: hush-x}]}",
            "tokens.keys[0].kid tokens.keys[0].secret tokens.refresh_secrets[0].secret",
        ),
        ("tokens: {enabled: true, mode: guard, carrier: none}", "tokens.refresh_secret tokens.carrier"),
    ],
)
def test_mistake_elsewhere_does_not_silence(place: Place, text: str, keys: str) -> None:
    """Every error is told in one run, wherever else in its section another one is."""
    told = [line.split(": ")[1] for line in place.config(text).problems()]
    assert sorted(told) == sorted(keys.split())


@pytest.mark.parametrize(
    "text",
    [
        "redis: {allow_embedded: soon}\ntokens: {require_redis: true}",
        "tokens: {require_redis: soon}",
        "tokens: {enabled: soon, refresh_secret: hush-x, keys: [{kid: a, secret: hush-x}]}",
        "tokens: {enabled: true, keys: none}",
        "tokens: {access_ttl: 8d, refresh_ttl: 7}",
        "tokens: {session_ttl: 30, refresh_ttl: 90d}",
        "tokens: {cookie: {same_site: none, secure: soon, access: __Host-a}}",
        "tokens: {cookie: {access: refresh_token, refresh: 'a b'}}",
        "tokens: {enabled: true, mode: none}",
        "tokens: {enabled: true, keys: none, refresh_secrets: [{key: a}]}",
        "tokens: {enabled: true, keys: [{kid: a, secret: hush-x, secret_file: hush-y}]}",
        "tokens: {enabled: true, mode: guard, refresh_secret_file: nowhere}",
        "tokens: {routes: {login: POST /api/auth/refresh}}",
        "tokens: {routes: {login: [POST /a], refresh: post /a}}",
        "tokens: []",
    ],
)
def test_unsound_key_is_not_guessed_at(place: Place, text: str) -> None:
    """A key with an error is told once, and nothing is said of what its default would mean to others."""
    keys = [line.split(": ")[1] for line in place.config(text).problems()]
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("routes", "clash"),
    [
        ("{refresh: POST /api/auth/login}", "refresh"),
        ("{logout: POST /api/auth/refresh}", "logout"),
        ("{login: [POST /api/auth/sso, //API/auth/%4cogout/]}", "logout"),
        ("{login: [GET /a], logout: HEAD /a}", "logout"),
        ("{login: [PUT /a], logout: POST /a}", ""),
        ("{login: [POST /a, POST /a]}", ""),
        ("{login: [POST /api/auth/**]}", ""),
        ("{refresh: POST /api/auth/*, logout: POST /a, login: [POST /b]}", ""),
        ("{refresh: POST /api/auth/*}", "refresh"),
        ("{refresh: POST /api/**/logout}", "refresh"),
        ("{refresh: POST /**/api/*/log*t}", ""),
        ("{refresh: POST /api/*/*/*/**, login: [POST /a]}", ""),
        ("{refresh: POST /api/auth/*, login: [POST /a], logout: POST /api/auth/**}", ""),
        ("{refresh: PUT /api/auth/*}", ""),
        ("{refresh: /api/%61uth/*/, login: [POST /a]}", "refresh"),
        ("{logout: POST /api/**, refresh: POST /api/auth/refresh, login: [POST /api/auth/login, PUT /a]}", "logout"),
        ("{login: [DELETE /a/**], sessions: /a}", "login[0]"),
        ("{jwks: GET /a/**, sessions: /a}", "jwks"),
        ("{refresh: /" + "x/" * 2000 + "**/*, logout: /" + "x/" * 2001 + "}", "refresh"),
        ("{sessions: /a, logout: DELETE /a/*}", "sessions"),
        ("{sessions: /a, jwks: GET /A/}", "jwks"),
        ("{sessions: /a, logout: POST /a}", ""),
        ("{jwks: /api/auth/logout}", "jwks"),
        ("{jwks: GET /api/auth/logout}", ""),
    ],
)
def test_each_operation_has_its_own_route(place: Place, routes: str, clash: str) -> None:
    """No two operations share a pattern, and none takes all that is meant for one that is asked about after it, as the
    router reads them; a wider login takes what the others leave."""
    told = [line.split(": ")[1] for line in place.config(f"tokens: {{routes: {routes}}}\n").problems()]
    assert list(dict.fromkeys(told)) == [f"tokens.routes.{clash}"] * bool(clash)


@pytest.mark.parametrize("carrier", ["cookie", "both"])
def test_cookies_that_no_browser_would_send(place: Place, carrier: str) -> None:
    """A path that leaves the token routes out is warned of, once a route, only where tokens travel in cookies."""
    cookie = "  cookie:\n    path: /api/auth/refresh\n"
    assert place.config(f"{TOKENS}  carrier: {carrier}\n{cookie}").warnings() == [
        "config.yaml:6:11: tokens.cookie.path: does not cover tokens.routes.logout: browsers that see the same paths "
        "send no cookie there"
    ]
    for fine in ("/", "/api", "/api/", "/api/auth"):
        assert place.config(f"{TOKENS}  carrier: {carrier}\n  cookie: {{path: {fine}}}\n").warnings() == []
    assert len(place.config(f"{TOKENS}  carrier: {carrier}\n  cookie: {{path: /ap}}\n").warnings()) == 2
    assert place.config(f"{TOKENS}{cookie}").warnings() == []


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("access_ttl: 90d, carrier: cookie, cookie: {path: /x, secure: false}", ["path", "path", "secure"]),
        ("routes: {logout: x}, carrier: cookie, cookie: {path: /x, secure: soon}", ["path"]),
        ("carrier: none, cookie: {path: /x, secure: false}", []),
    ],
)
def test_warnings_beside_mistakes(place: Place, text: str, warned: list[str]) -> None:
    """Warnings, too, ask only for what they read."""
    place.config(f"tokens: {{enabled: true, {text}, keys: [{{kid: main, secret: {SECRET}}}]}}")
    with pytest.raises(ConfigInvalid) as invalid:
        place.load()
    assert [problem.key for problem in invalid.value.warnings] == [f"tokens.cookie.{key}" for key in warned]


def test_authorities_at_no_path(place: Place) -> None:
    """A CA file's name that no file can have is told like one that cannot be read."""
    lines = place.config('redis: {url: "rediss://cache", ca_file: "a\\0b"}').problems()
    assert lines == ["config.yaml:1:41: redis.ca_file: cannot be read: unknown reason"]


def test_authorities_without_tls(place: Place) -> None:
    """A CA file that no connection asks for is warned of."""
    text = f"redis: {{url: 'redis://cache', ca_file: {Authority(place.folder).file}}}\n"
    assert place.config(text).warnings() == [
        "config.yaml:1:40: redis.ca_file: is not used, because redis.url does not ask for TLS (rediss…)"
    ]
    assert place.config(text.replace("redis://", "rediss+cluster://")).warnings() == []
