"""One file per defect, named by it. Each says itself, in its first lines, what is expected of it.

`# expect: LINE:COL: KEY: TEXT` is an error that must be reported, and these are all there are. A line that does not
point into the file is written as it is reported. `# env: NAME=VALUE` sets a variable.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.config import ConfigInvalid, load
from tests.config.support import Place

FIXTURES = Path(__file__).parent / "fixtures"
CONFIGS = sorted(FIXTURES.glob("*.yaml"))
POLICIES = sorted((FIXTURES / "policy").glob("*.yaml"))


def notes(file: Path, kind: str) -> list[str]:
    """Return what follows `# KIND: ` in the file's comments."""
    lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    return [line.removeprefix(f"# {kind}: ") for line in lines if line.startswith(f"# {kind}: ")]


def environment(file: Path) -> dict[str, str]:
    return dict(note.split("=", 1) for note in notes(file, "env"))


def expected(file: Path, name: str) -> list[str]:
    return [f"{name}:{note}" if note[0].isdigit() else note for note in notes(file, "expect")]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_defect_of_config(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every defect of `config.yaml` is reported at its place, in plain words, and nothing else is."""
    monkeypatch.chdir(FIXTURES)
    with pytest.raises(ConfigInvalid) as invalid:
        load(Path(file.name), environment(file))
    assert [str(problem) for problem in invalid.value.problems] == expected(file, file.name)


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.stem)
def test_defect_of_policy(file: Path, place: Place) -> None:
    """Every defect of a policy is reported at its place, in plain words, and nothing else is."""
    place.policy("")
    shutil.copyfile(file, place.folder / "policies" / "crm.yaml")
    assert place.problems(environment(file)) == expected(file, "policies/crm.yaml")


@pytest.mark.parametrize("file", CONFIGS + POLICIES, ids=lambda file: file.stem)
def test_fixture_says_what_is_expected(file: Path) -> None:
    """No fixture passes because it expects nothing."""
    assert notes(file, "expect")


@pytest.mark.parametrize("file", CONFIGS + POLICIES, ids=lambda file: file.stem)
def test_no_secret_and_no_jargon(file: Path) -> None:
    """No report holds a secret of the file, or the words of the library that found the defect."""
    for note in notes(file, "expect"):
        assert "hush-" not in note
        assert "Input should" not in note
        assert "valid dictionary" not in note
