"""Urlencoded forms: what is taken out, what is put in front, and that nothing else is touched."""

from __future__ import annotations

from random import Random
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.whmcs.names import is_credential
from gateway.whmcs.urlencoded import read_urlencoded

OURS = [("identifier", "own"), ("secret", "hush-&=+% é")]
FRONT = b"identifier=own&secret=hush-%26%3D%2B%25+%C3%A9"


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", b""),
        (b"action=GetClients&secret=x&limitnum=5", b"action=GetClients&limitnum=5"),
        (b"secret=x&secret=y&a=1&a=2", b"a=1&a=2"),
        (b"sec%72et=x&+secret=y&secret%5B%5D=z&a=b", b"a=b"),
        (b"SECRET=x&identifier&accesskey=&a", b"a"),
        (b"username=u&password=p&api_key=k&password2=new", b"password2=new"),
        (b"custom[0]=a&custom%5B1%5D=b&custom[]=c", b"custom[0]=a&custom%5B1%5D=b&custom[]=c"),
        (b"a=%E9&b=%zz&c=\xe9&&d==", b"a=%E9&b=%zz&c=\xe9&&d=="),
    ],
)
def test_credentials_are_exchanged(content: bytes, kept: bytes) -> None:
    """Every spelling of a credential goes, ours come first, and the rest keeps its bytes and its order."""
    form = read_urlencoded(content).without_credentials()
    assert form.content() == kept
    assert form.beginning_with(OURS).content() == (FRONT + b"&" + kept if kept else FRONT)


def test_ours_are_read_as_they_are() -> None:
    """Whatever a secret holds, it arrives."""
    assert parse_qsl(read_urlencoded(b"").beginning_with(OURS).content().decode()) == OURS


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"action=GetClients", [b"GetClients"]),
        (b"action=a&b=c&Action=d+e&action[]=%41", [b"a", b"d e", b"A"]),
        (b"b=action", []),
    ],
)
def test_values(content: bytes, values: list[bytes]) -> None:
    """Every field of a variable is found, decoded, in order."""
    assert read_urlencoded(content).values(b"action") == values


@given(st.binary())
def test_any_content_comes_back(content: bytes) -> None:
    """What is read and written again is the same, byte for byte."""
    form = read_urlencoded(content)
    assert form.content() == content
    assert read_urlencoded(form.content()) == form


PAIRS = st.lists(st.tuples(st.text(min_size=1, max_size=9), st.text(max_size=9)), max_size=8)


@given(PAIRS, st.lists(st.sampled_from(["secret", "identifier", "accesskey[]"]), max_size=3), st.randoms())
def test_only_credentials_are_lost(pairs: list[tuple[str, str]], names: list[str], random: Random) -> None:
    """As an independent parser sees it, a form keeps every other field, in order, and has ours once."""
    every = [*pairs, *((name, "hush-theirs") for name in names)]
    random.shuffle(every)
    form = read_urlencoded(urlencode(every).encode()).without_credentials()
    assert read_urlencoded(form.content()) == form
    read = parse_qsl(form.beginning_with(OURS).content().decode(), keep_blank_values=True)
    assert read == [*OURS, *((name, value) for name, value in every if not is_credential(name.encode()))]
