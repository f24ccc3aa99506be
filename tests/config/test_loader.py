"""Finding, loading, and telling everything at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import ConfigInvalid, FileSettings, locate
from gateway.settings import Duration, Settings, Size
from tests.config.support import GOOD_POLICY, SECRET, Place


def test_empty_file_is_all_defaults(place: Place) -> None:
    """An empty file gives every default, no policies and no warnings."""
    loaded = place.load()
    assert loaded.settings.file == FileSettings()
    assert loaded.settings.policies == ()
    assert loaded.warnings == ()


def test_everything_at_once(place: Place) -> None:
    """Errors of every file and of the environment come together, sorted, with the warnings beside them."""
    place.config("ingress:\n  listn: 0.0.0.0:80\nlog:\n  level: ${LEVEL}\nmaintenance:\n  enabled: false\n")
    place.policy(GOOD_POLICY + "rates: 5\n", "a.yaml").policy("upstream: [", "b.yaml")
    place.policy("upstream: whmcs\nlisten: 127.0.0.1:9181\nlanes: [{name: default}]\n", "c.yaml")
    environ = {"WHMCS_QUEUE_CONCURRENCY": "lots", "AUTH_MAINTENANCE_MODE": "true"}
    with pytest.raises(ConfigInvalid) as invalid:
        place.load(environ)
    places = [":".join(place.relative(problem).split(":")[:3]) for problem in invalid.value.problems]
    assert places == [
        "config.yaml:2:3",
        "config.yaml:4:10",
        "policies/a.yaml:7:1",
        "policies/b.yaml:1:12",
        "environment: WHMCS_QUEUE_CONCURRENCY: must be a whole number",
    ]
    assert [problem.key for problem in invalid.value.warnings] == ["maintenance.enabled", "base_url"]


def test_same_again(place: Place) -> None:
    """The same files give the same report in the same order."""
    place.config("a: 1\nb: 2\nc: 3\n").policy("x: 1\n", "b.yaml").policy("y: 1\n", "a.yaml")
    assert place.problems() == place.problems()


def test_policies_beside_the_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is looked for beside the file that names it, wherever the gateway is started."""
    place.config("policies: limits\n")
    (place.folder / "limits").mkdir()
    (place.folder / "limits" / "crm.yaml").write_text(GOOD_POLICY)
    monkeypatch.chdir("/")
    assert [policy.upstream for policy in place.load().settings.policies] == ["crm"]


def test_policies_need_not_be_there(place: Place) -> None:
    """The default directory may be missing, and any may be empty; one that is named has to be there."""
    assert place.problems() == []
    (place.folder / "policies").mkdir()
    assert place.config("policies: policies\n").problems() == []
    assert len(place.config("policies: polices\n").problems()) == 1


def test_which_files_are_policies(place: Place) -> None:
    """Hidden files are passed over, `.yml` is warned of, anything else is none of our business."""
    place.policy(GOOD_POLICY).policy("x", ".crm.yaml").policy("x", "crm.yml").policy("x", "README.md")
    (place.folder / "policies" / "..data").mkdir()
    assert place.warnings() == ["policies/crm.yml: is not read, because its name does not end in .yaml"]


def test_syntax_error_alone(place: Place) -> None:
    """A file that cannot be parsed is told alone, because nothing else of it is known."""
    assert place.config("log: [\nlisten: x\n").policy("nonsense: 1\n").problems() == [
        "config.yaml:1:6: this [list] or {mapping} is not closed; inside one, quote values with ${...}"
    ]


def test_locate_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag comes first, then GATEWAY_CONFIG, then config.yaml of the working directory."""
    monkeypatch.chdir(tmp_path)
    flag, variable = tmp_path / "flag.yaml", tmp_path / "variable.yaml"
    for file in (flag, variable, tmp_path / "config.yaml"):
        file.touch()
    environ = {"GATEWAY_CONFIG": str(variable)}
    assert locate(flag, environ) == flag
    assert locate(None, environ) == variable
    assert locate(None, {"GATEWAY_CONFIG": ""}) == locate(None, {}) == Path("config.yaml")


def test_locate_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there is told with what named it, or how to name it."""
    monkeypatch.chdir(tmp_path)
    for flag, environ, line in (
        (Path("x.yaml"), {}, "x.yaml: there is no such file; correct --config"),
        (None, {"GATEWAY_CONFIG": "y.yaml"}, "y.yaml: there is no such file; correct GATEWAY_CONFIG"),
        (
            None,
            {},
            "config.yaml: there is no such file; start in its folder, or name it with --config FILE or GATEWAY_CONFIG",
        ),
    ):
        with pytest.raises(ConfigInvalid) as invalid:
            locate(flag, environ)
        assert str(invalid.value) == line


def test_no_secret_in_a_representation(place: Place) -> None:
    """Neither secrets nor the address of Redis, which may hold a password, are in the settings' representation."""
    url = "redis://:hush-password@cache"
    place.config(f"redis: {{url: '{url}'}}\ntokens: {{enabled: true, keys: [{{kid: main, secret: {SECRET}}}]}}\n")
    loaded = place.load()
    assert loaded.settings.file.redis.url == url
    assert "hush-" not in repr(loaded)
    assert "hush-" not in str(loaded.settings)


WORDS = "ingress redis url tokens keys secret log level null 1 30s hush-secret"
MARKS = (": ", "\n", "\n  ", "- ", "[", "]", "{", "}", "'", '"', "&a ", "*a", "<<", "!t ", "${SECRET}", "${SECRET:-")
PIECES = st.sampled_from((*WORDS.split(), *MARKS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_file(place: Place, text: str) -> None:
    """Any text is settings or problems; values of the environment are never told."""
    for line in place.config(text).problems({"SECRET": "hush-from-the-environment"}):
        assert "hush-from" not in line


class Units(Settings):
    duration: Duration = 0.0
    size: Size = 0


NUMBERS = st.from_regex(r"[0-9]{1,400}(\.[0-9]{1,20})?", fullmatch=True)


@given(NUMBERS | st.text(max_size=8), st.sampled_from(["", "ms", "s", "m", "h", "d", "B", "KiB", "GiB", "x"]))
def test_any_duration_and_size(number: str, unit: str) -> None:
    """Any text is a duration or a size in base units, finite and not negative, or a validation error."""
    for key in ("duration", "size"):
        try:
            value = getattr(Units.model_validate({key: number + unit}), key)
        except ValueError:
            continue
        assert 0 <= value < float("inf")
