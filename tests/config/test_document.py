"""Plain data with places."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.document import Document, Place, dotted, read


def document(folder: Path, text: str, **environ: str) -> Document:
    file = folder / "file.yaml"
    file.write_text(text, encoding="utf-8")
    return read(file, environ)


def test_scalars_stay_text(tmp_path: Path) -> None:
    """No scalar is guessed at: numbers, booleans and dates are the texts that were written, null is None."""
    found = document(tmp_path, "a: 0800\nb: no\nc: 1.50\nd: 2026-12-01\ne: null\nf: ~\ng:\nh: 'null'\ni: \"\"\n")
    assert found.data == {
        "a": "0800", "b": "no", "c": "1.50", "d": "2026-12-01", "e": None, "f": None, "g": None, "h": "null", "i": "",
    }  # fmt: skip


def test_places(tmp_path: Path) -> None:
    """Every key and value knows its line and column, both from 1."""
    found = document(tmp_path, "a:\n  b: 1\n  c: [x, {d: y}]\n")
    assert found.keys[("a", "b")] == Place(2, 3)
    assert found.values[("a", "b")] == Place(2, 6)
    assert found.values[("a", "c", 1, "d")] == Place(3, 14)


def test_place_of_what_is_not_there(tmp_path: Path) -> None:
    """A key that the file leaves out is pointed to at the nearest part around it."""
    found = document(tmp_path, "# a comment\na:\n  b: 1\n")
    assert found.place(("a", "c", "d")) == Place(2, 1)
    assert found.place(("z",)) == Place(2, 1)
    assert Document("empty.yaml").place(("z",)) == Place(1, 1)


def test_expanded_value_is_one_scalar(tmp_path: Path) -> None:
    """A variable's value that looks like YAML stays one text and adds no key."""
    found = document(tmp_path, "a: ${VALUE}\n", VALUE="x\nb: 1")
    assert found.data == {"a": "x\nb: 1"}
    assert found.variables == {("a",): ("VALUE",)}


def test_keys_are_not_expanded(tmp_path: Path) -> None:
    """A reference in a key is just its name."""
    assert document(tmp_path, "a${B}: 1\n", B="x").data == {"a${B}": "1"}


def test_one_error_does_not_hide_the_next(tmp_path: Path) -> None:
    """A file that parses is walked to its end, whatever is wrong on the way."""
    found = document(tmp_path, "a: 1\na: 2\nb: ${UNSET}\n? [c]\n: 3\n")
    assert [(problem.line, problem.column) for problem in found.problems] == [(2, 1), (3, 4), (4, 3)]
    assert found.readable


def test_unreadable(tmp_path: Path) -> None:
    """What cannot be read is a problem of the file, at its beginning."""
    found = read(tmp_path, {})
    assert [str(problem) for problem in found.problems] == [f"{tmp_path}:1:1: the file cannot be read: is a directory"]
    assert not found.readable


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("ingress", "limits", "headers"), "ingress.limits.headers"),
        (("lanes", 1, "timeout"), "lanes[1].timeout"),
        (("a", ""), "a.(empty)"),
        (("two\nlines",), "two\\nlines"),
        (("x" * 100,), "x" * 64),
    ],
)
def test_dotted(path: tuple[str | int, ...], text: str) -> None:
    """Paths read as operators write them, and no key can forge a line of output."""
    assert dotted(path) == text
