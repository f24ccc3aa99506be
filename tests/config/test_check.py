"""`gateway config check`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gateway.cli.config import check
from tests.config.support import GOOD_POLICY, Place

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.yaml"))


def run(config: Path | None, **environ: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return check(config, environ, out, err), out.getvalue(), err.getvalue()


def test_ok(place: Place) -> None:
    """A valid configuration exits 0 with a summary, and notes and warnings before it."""
    place.policy(GOOD_POLICY, "a.yaml")
    place.policy(
        GOOD_POLICY.replace("crm", "erp", 1).replace("9191", "9192").replace("https://crm.example.com", '""'), "b.yaml"
    )
    code, out, err = run(place.file)
    assert (code, out) == (0, f"{place.file}: OK (policies: 1 on, 1 off)\n")
    assert place.relative(err) == (
        "note: policies/b.yaml:3:11: base_url: is empty: this policy is off, and nothing listens for it\n"
    )


def test_errors_then_warnings(place: Place) -> None:
    """An invalid one exits 2 with every error, then the warnings, and no summary."""
    place.config("maintenance:\n  enabled: false\nloog: {}\n")
    code, out, err = run(place.file, AUTH_MAINTENANCE_MODE="true")
    first, second = place.relative(err).splitlines()
    assert (code, out) == (2, "")
    assert first == "config.yaml:3:1: loog: is not a known key (did you mean log?)"
    assert second.startswith("warning: config.yaml:2:12: maintenance.enabled: ")


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file it exits 2 and says what to do."""
    monkeypatch.chdir(tmp_path)
    code, _, err = run(None)
    assert code == 2
    assert "--config FILE" in err


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_every_defect_exits_2(file: Path) -> None:
    """Each defect is enough for exit code 2."""
    environ = dict(
        line.removeprefix("# env: ").split("=", 1)
        for line in file.read_bytes().decode("utf-8", "replace").splitlines()
        if line.startswith("# env: ")
    )
    code, out, err = run(file, **environ)
    assert (code, out) == (2, "")
    assert "hush-" not in err
