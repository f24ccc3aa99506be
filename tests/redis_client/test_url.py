"""What a URL says, and that one which cannot be read says nothing at all."""

from __future__ import annotations

import pytest

from gateway.redis_client.url import SHAPES, RedisUrl, UnreadableUrl, parse


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("redis://cache", RedisUrl("single", servers=(("cache", 6379),))),
        ("redis://cache:1/2", RedisUrl("single", servers=(("cache", 1),), database=2)),
        ("rediss://[fd00::1]?db=3", RedisUrl("single", tls=True, servers=(("fd00::1", 6379),), database=3)),
        (
            "redis://us%3Aer:hush-%2F%40,@cache",
            RedisUrl("single", servers=(("cache", 6379),), username="us:er", password="hush-/@,"),
        ),
        ("unix:///run/a%20b.sock?db=1", RedisUrl("unix", path="/run/a b.sock", database=1)),
        ("unix://:hush-x@/run/s", RedisUrl("unix", path="/run/s", password="hush-x")),
        (
            "redis+sentinel://s1,[::1]:5,s3:7/main/4",
            RedisUrl("sentinel", servers=(("s1", 26379), ("::1", 5), ("s3", 7)), service="main", database=4),
        ),
        (
            "rediss+sentinel://:hush-x@s1/my%20main",
            RedisUrl("sentinel", tls=True, servers=(("s1", 26379),), service="my main", password="hush-x"),
        ),
        (
            "rediss+cluster://u:hush-x@c1:7000,c2/0",
            RedisUrl("cluster", tls=True, servers=(("c1", 7000), ("c2", 6379)), username="u", password="hush-x"),
        ),
    ],
)
def test_every_form_is_read(url: str, parsed: RedisUrl) -> None:
    """Hosts, ports, database, service and credentials come out decoded, with the ports that are usual."""
    assert parse(url) == parsed


def test_credentials_are_in_no_representation() -> None:
    """A URL that ends up in a message shows neither user nor password."""
    assert "hush-" not in repr(parse("redis+cluster://hush-user:hush-password@c1"))


@pytest.mark.parametrize("scheme", SHAPES)
def test_what_cannot_be_read_is_told_of_by_its_shape_only(scheme: str) -> None:
    """The error names the form of the scheme and no part of the text; options of the library are none of ours."""
    for rest in (
        "hush-x/hush-y@c1/hush-z",
        "",
        "c1/main/0?socket_timeout=9",
        "c1#hush-x",
        "c1:99999/main",
        "a@b@c/main",
    ):
        with pytest.raises(UnreadableUrl) as caught:
            parse(f"{scheme}://{rest}")
        assert str(caught.value) == SHAPES[scheme]
