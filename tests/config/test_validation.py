"""What is sound, what is not, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.document import Document, read
from gateway.config.root import FileSettings
from gateway.config.validation import validate
from gateway.throttle.settings import PolicySettings
from tests.config.support import Place


def document(folder: Path, text: str, **environ: str) -> Document:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return read(file, environ)


def test_expanded_text_takes_the_keys_type(tmp_path: Path) -> None:
    """A variable becomes the number, truth value, duration, size or text that its key asks for."""
    text = (
        "ingress: {limits: {headers: '${N}', body_bytes: '${S}'}}\n"
        "maintenance: {enabled: '${B}', message: '${N}', retry_after: '${D}'}\n"
    )
    checked, problems = validate(FileSettings, document(tmp_path, text, N="64", S="1MiB", B="TRUE", D="1.5m"))
    assert problems == []
    assert checked.settings.ingress.limits.headers == 64
    assert checked.settings.ingress.limits.body_bytes == 1024**2
    maintenance = checked.settings.maintenance
    assert (maintenance.enabled, maintenance.message, maintenance.retry_after) == (True, "64", 90.0)


def test_variable_may_say_null(tmp_path: Path) -> None:
    """A variable's `null` is null where the key takes it, and a text where it does not."""
    text = "ingress: {response_timeout: '${N}', limits: {body_bytes: '${N}'}}\nmaintenance: {message: '${N}'}\n"
    checked, problems = validate(FileSettings, document(tmp_path, text, N="null"))
    assert problems == []
    assert checked.settings.ingress.response_timeout is None
    assert checked.settings.ingress.limits.body_bytes is None
    assert checked.settings.maintenance.message == "null"


def test_sound_keys_survive(tmp_path: Path) -> None:
    """An error makes its own key unsound and what lies inside, not what lies around; an unknown key none."""
    text = "log: {level: loud}\nredis: {url: '${UNSET}', probe: 1}\nadmin: {listen: 127.0.0.1:1, sockets: 3}\n"
    checked, problems = validate(FileSettings, document(tmp_path, text))
    assert sorted(problem.key for problem in problems) == ["admin.sockets", "log.level", "redis.probe"]
    assert checked.unsound == {("log", "level"), ("redis", "url"), ("redis", "probe")}
    assert checked.sound(("admin", "listen"), ("ingress",), ("redis",), ("log", "format"))
    assert not checked.sound(("admin", "listen"), ("log", "level"))
    assert not checked.sound(("redis", "probe", "interval"))
    assert checked.settings.admin.listen == "127.0.0.1:1"


def test_missing_key_is_unsound(tmp_path: Path) -> None:
    """A required key that is not there can no more be read than what would lie inside of it."""
    checked, problems = validate(PolicySettings, document(tmp_path, "upstream: crm\nlanes: [{name: a}]\n"))
    assert checked.sound(("upstream",), ("lanes",), ("lanes", 0, "name"))
    assert not any(checked.sound(path) for path in (("listen",), ("rate", "per"), ("lanes", 0, "timeout")))
    assert len(problems) == 4


@pytest.mark.parametrize("text", ["log: {levle: '${UNSET}'}", "tokens: {identity: {claims: {sub: '${UNSET}'}}}"])
def test_wrong_key_of_an_unset_variable(place: Place, text: str) -> None:
    """A key that cannot be, with a value that cannot be expanded, is told as both."""
    lines = place.config(text).problems()
    assert ["UNSET is not set" in line for line in lines] == [False, True]


def test_inner_error_speaks_for_the_outer(tmp_path: Path) -> None:
    """A wrong entry of a list is told at the entry, and not also as a wrong list or a missing word."""
    _, problems = validate(FileSettings, document(tmp_path, "maintenance:\n  routes: [/a, b]\n"))
    assert sorted(problem.key for problem in problems) == ["maintenance.routes[1]"]


@pytest.mark.parametrize("value", ["", "null", "[]", "{}", "x", "-1", "'0'", "[[]]", "[null]", "{x: }", "${VALUE}"])
def test_any_value_at_any_key(place: Place, value: str) -> None:
    """Every key takes a value or refuses it with a place; nothing raises anything else, and no secret is told."""
    environ = {"VALUE": "hush-value"}
    sections = {name: type(getattr(FileSettings(), name)) for name in FileSettings.model_fields}
    for section, model in sections.items():
        for name, info in getattr(model, "model_fields", {}).items():
            text = f"{section}:\n  {info.alias or name}: {value}\n"
            for line in place.config(text).problems(environ):
                assert line.startswith(("config.yaml:1:", "config.yaml:2:"))
                assert "hush-value" not in line
