"""Secrets from files. What is refused in a file's name or place is in the fixtures too."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.document import digest, read
from gateway.config.root import FileSettings
from gateway.config.secret_files import LARGEST, take
from tests.config.support import SECRET, Place

KEY = "tokens:\n  enabled: true\n  keys:\n    - kid: main\n      secret_file: {file}\n"


def secret_of(place: Place) -> str:
    """Return the first key's secret."""
    secret = place.load().settings.file.tokens.keys[0].secret
    return secret.get_secret_value() if secret else ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (SECRET, SECRET),
        (SECRET + "\n", SECRET),
        (SECRET + "\r\n", SECRET),
        (SECRET + "\n\n", SECRET + "\n"),
        (SECRET + "\r", SECRET + "\r"),
        (f"${{HOME}} {SECRET}", f"${{HOME}} {SECRET}"),
    ],
)
def test_the_content_is_the_secret(place: Place, content: str, expected: str) -> None:
    """One newline at the end is the editor's, all else is the secret's; nothing is expanded in it."""
    (place.folder / "key").write_bytes(content.encode())
    place.config(KEY.format(file="key"))
    assert (secret_of(place) == expected) is True


def test_a_relative_path_begins_at_the_file_that_names_it(
    place: Place, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the gateway is started; an absolute path, and one from a variable, are taken too."""
    (place.folder / "keys").mkdir()
    (place.folder / "keys" / "main").write_text(SECRET)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for name in ("keys/main", place.folder / "keys" / "main"):
        assert (secret_of(place.config(KEY.format(file=name))) == SECRET) is True
    assert place.config(KEY.format(file="${KEYS}/main")).problems({"KEYS": "keys"}) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"hush-\xff\xfe", "the file cannot be read: it is not UTF-8 text"),
        (b"hush-" * LARGEST, "the file is larger than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_secret(place: Place, content: bytes, text: str) -> None:
    """Told where it is named, without its name or content."""
    (place.folder / "hush-file").write_bytes(content)
    place.config(KEY.format(file="hush-file"))
    assert place.problems() == [f"config.yaml:5:20: tokens.keys[0].secret_file: {text}"]


def test_a_file_that_may_not_be_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is told."""
    file = place.folder / "key"
    file.write_text(SECRET)
    whole = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    place.config(KEY.format(file="key"))
    expected = "config.yaml:5:20: tokens.keys[0].secret_file: the file cannot be read: permission denied"
    assert place.problems() == [expected]


def test_what_a_file_holds_is_judged_where_the_file_is_named(place: Place) -> None:
    """A weak secret from a file is an error at the line that names the file."""
    (place.folder / "key").write_text("hush-short\n")
    place.config(KEY.format(file="key"))
    expected = "config.yaml:5:20: tokens.keys[0].secret: HS256 needs a secret of at least 32 bytes"
    assert place.problems() == [expected]


def test_null_is_no_file_and_no_secret(place: Place) -> None:
    """A `KEY_file: null` is as if left out, and a file may stand beside a `KEY: null`."""
    (place.folder / "key").write_text(SECRET)
    text = f"tokens:\n  enabled: true\n  keys: [{{kid: main, secret: {SECRET}, secret_file: null}}]\n"
    assert place.config(text).problems() == []
    assert place.config(f"{text}  refresh_secret: null\n  refresh_secret_file: key\n").problems() == []


def test_what_was_read_is_known(place: Place) -> None:
    """Every file that was read is among the sources, with its content's digest."""
    (place.folder / "key").write_text(SECRET)
    place.config(KEY.format(file="key"))
    sources = place.load().sources
    assert sources[place.folder / "key"] == digest(SECRET.encode())
    assert place.file in sources


def test_a_key_that_is_no_secret_has_no_file(tmp_path: Path) -> None:
    """`_file` means nothing beside other keys."""
    path = tmp_path / "config.yaml"
    path.write_text("tokens:\n  issuer_file: key\n")
    document = read(path, {})
    assert take(FileSettings, document) == []
    assert document.data == {"tokens": {"issuer_file": "key"}}
