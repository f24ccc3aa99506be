"""How a script is found and named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.redis_client.scripts import load
from tests.support.valkey import ValkeyServer


def test_a_script_is_read_from_its_package_and_known_by_the_digest_that_redis_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_valkey: ValkeyServer
) -> None:
    """The digest is the one SCRIPT LOAD answers with, also for text beyond ASCII."""
    (tmp_path / "room_with_lua").mkdir()
    (tmp_path / "room_with_lua" / "__init__.py").touch()
    (tmp_path / "room_with_lua" / "greet.lua").write_text("return 'grüß'", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    script = load("room_with_lua", "greet")
    sys.modules.pop("room_with_lua", None)
    assert (script.name, script.source) == ("greet", "return 'grüß'")
    assert shared_valkey.command("SCRIPT", "LOAD", script.source).decode() == script.sha


def test_a_script_that_is_not_there_is_an_error_at_once() -> None:
    """A misspelled name fails where it is loaded, not at the first request."""
    with pytest.raises(FileNotFoundError):
        load("gateway.redis_client", "nothing")
