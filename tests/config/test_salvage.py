"""What is left of a document with errors."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.config.policy import Policy
from gateway.config.root import FileSettings
from gateway.config.salvage import salvage
from gateway.config.schema import fields, kinds
from gateway.settings import parse_route
from tests.config.support import Place


def test_nothing_bad() -> None:
    """A sound document gives the settings that it gives anyway."""
    data = {"maintenance": {"except": ["/a"], "routes": "tokens"}, "log": {"level": "debug"}}
    assert salvage(FileSettings, data, ()) == FileSettings.model_validate(data)


def test_sound_keys_are_validated() -> None:
    """Beside a bad key, the others still become seconds, patterns and numbers, and the bad one keeps its default."""
    data = {"maintenance": {"except": ["/a"], "retry_after": "1m", "message": ""}, "bogus": 1}
    found = salvage(FileSettings, data, [("maintenance", "message"), ("bogus",)]).maintenance
    assert (found.except_, found.retry_after) == ((parse_route("/a"),), 60.0)
    assert found.message == FileSettings().maintenance.message


def test_entries_keep_their_places() -> None:
    """A bad entry of a list or of a free mapping leaves a gap, so that the next one is not taken for it."""
    data = {"tokens": {"routes": {"login": ["x", "/a"]}, "identity": {"claims": {"email": "x", "role": "/r"}}}}
    bad = [("tokens", "routes", "login", 0), ("tokens", "identity", "claims", "email")]
    tokens = salvage(FileSettings, data, bad).tokens
    assert tokens.routes.login == (None, parse_route("/a"))
    assert tokens.identity.claims == {"email": None, "role": "/r"}


def test_missing_key_is_left_out() -> None:
    """A key that has no default is not made up, and what is beside it is there."""
    lane = salvage(Policy, {"lanes": [{"name": "a"}]}, [("rate",), ("lanes", 0, "timeout")]).lanes[0]
    assert (lane.name, lane.match) == ("a", ())
    with pytest.raises(AttributeError):
        _ = lane.timeout


WORDS = ["", "0", "1", "30", "30s", "1KiB", "true", "a", "/a", "POST /a", "127.0.0.1:80", "none", "hush-x", "${UNSET}"]


def documents(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Return mappings with some of the model's keys, and now and then one that it does not know."""
    known = {key: values(info.rebuild_annotation()) for key, info in fields(model).items()}
    return st.fixed_dictionaries({}, optional={**known, "unknown": st.sampled_from(WORDS)})


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values of the annotation's shape, and others."""
    shapes: list[st.SearchStrategy[Any]] = [st.sampled_from([*WORDS, None, [], {}, ["a"], {"a": "${UNSET}"}])]
    for kind in kinds(annotation):
        if fields(kind):
            shapes += [documents(kind)] * 3
        elif get_origin(kind) is tuple:
            shapes += [st.lists(values(get_args(kind)[0]), max_size=3)] * 3
        elif get_origin(kind) is dict:
            shapes += [st.dictionaries(st.sampled_from(["sub", "email"]), values(get_args(kind)[1]))] * 3
        elif get_origin(kind) is Literal:
            shapes.append(st.sampled_from(get_args(kind)))
    return st.one_of(shapes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(documents(FileSettings), documents(Policy))
def test_any_mistakes_together(place: Place, config: dict[str, Any], policy: dict[str, Any]) -> None:
    """Whatever is wrong at once, every check finds what it reads: the outcome is settings or problems."""
    config.pop("policies", None)
    place.config(json.dumps(config)).policy(json.dumps(policy))
    for line in place.problems({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}):
        assert "hush-x" not in line
