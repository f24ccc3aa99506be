"""The suite's own log lines."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from tests.support import leaks


@pytest.mark.parametrize(
    "line", ["password=hush-1", f"token {jwt.encode({'sub': 'u'}, 'k' * 32, 'HS256')}"], ids=["secret", "token"]
)
def test_the_search_finds_a_planted_secret(tmp_path: Path, line: str) -> None:
    """A secret or a token in a log file is reported by file and line."""
    (tmp_path / "planted.log").write_text(f"harmless\n{line}\n")
    assert leaks.search(tmp_path) == ["planted.log:2"]


def test_no_log_line_of_the_suite_holds_a_secret() -> None:
    """Whatever the suite and its gateways logged holds neither a secret nor a token (runs last)."""
    assert any(leaks.FOLDER.glob("*.log"))
    assert leaks.search(leaks.FOLDER) == []
