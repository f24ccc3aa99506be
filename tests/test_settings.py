"""Units and patterns."""

from __future__ import annotations

import pytest

from gateway.settings import RoutePattern, check_address, parse_duration, parse_route, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("30s", 30.0), ("12m", 720.0), ("4h", 14400.0), ("7d", 604800.0), ("0s", 0)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """Every unit of the configuration means what it says."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["30", "s", "-1s", "1 s", "1w", "", "1e3s", "nan", None, True])
def test_anything_else_is_not_a_duration(text: object) -> None:
    """A bare number, a sign, a space or an unknown unit is refused."""
    with pytest.raises(ValueError, match="needs a number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "size"), [("512B", 512), ("64KiB", 65536), ("1MiB", 2**20), ("2GiB", 2**31)])
def test_sizes_have_binary_units(text: str, size: int) -> None:
    """A size is a whole number of bytes in a binary unit."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64", "64KB", "1.5MiB", "-1B", ""])
def test_anything_else_is_not_a_size(text: str) -> None:
    """A bare number and decimal units are refused."""
    with pytest.raises(ValueError, match="needs a whole number and a unit"):
        parse_size(text)


def test_a_route_is_an_optional_method_and_a_path() -> None:
    """The method is optional and printed back as written."""
    assert parse_route("POST /a/*") == RoutePattern("POST", "/a/*")
    assert parse_route("/a/**") == RoutePattern(None, "/a/**")
    assert str(parse_route("POST /a")) == "POST /a"


@pytest.mark.parametrize("text", ["a", "post /a", "/a?b", "/a#b", "GET", ""])
def test_anything_else_is_not_a_route(text: str) -> None:
    """A missing slash, a lower-case method and a query are refused."""
    with pytest.raises(ValueError, match="route"):
        parse_route(text)


@pytest.mark.parametrize("text", ["8080", ":8080", "a:b", "a:70000", "a"])
def test_an_address_is_host_and_port(text: str) -> None:
    """Both parts are needed, and the port is one."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        check_address(text)
