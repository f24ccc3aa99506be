"""What the models say about keys."""

from __future__ import annotations

from typing import Annotated

from gateway.config.root import FileSettings
from gateway.config.schema import fields, kinds, known_keys, may_be_null, secret_keys, words_for
from gateway.maintenance.settings import MaintenanceSettings
from gateway.throttle.settings import PolicySettings


def test_fields() -> None:
    """A settings model's fields go by their names in the file; no other type has any."""
    assert list(fields(MaintenanceSettings)) == ["enabled", "message", "routes", "except", "retry_after"]
    assert fields(int) == fields(tuple[int, ...]) == {}


def test_kinds() -> None:
    """Every type that an annotation allows is named, without its bounds."""
    assert kinds(Annotated[int, "bounds"] | tuple[str, ...] | None) == (int, tuple[str, ...], type(None))


def test_known_keys() -> None:
    """The names of a mapping are found through sections, lists and optional parts, by the names operators use."""
    assert "ingress" in known_keys(FileSettings, ())
    assert "except" in known_keys(FileSettings, ("maintenance",))
    assert "kid" in known_keys(FileSettings, ("tokens", "keys", 3))
    assert "cap" in known_keys(PolicySettings, ("pace",))
    assert "header" in known_keys(PolicySettings, ("lanes", 0, "match", 1))


def test_free_mappings_know_no_names() -> None:
    """Where any name is allowed, and where nothing is known, there is nothing to suggest."""
    assert known_keys(FileSettings, ("tokens", "identity", "claims")) == ()
    assert known_keys(FileSettings, ("nowhere", "at", "all")) == ()


def test_may_be_null() -> None:
    """Unlimited and optional keys take null; others do not."""
    assert may_be_null(FileSettings, ("ingress", "response_timeout"))
    assert may_be_null(PolicySettings, ("pace",))
    assert not may_be_null(FileSettings, ("log", "level"))


def test_words() -> None:
    """A key's description is found where the model has it, also inside of mappings and optional parts."""
    assert words_for(FileSettings, ("tokens", "identity", "claims", "email")) == "a JSON pointer such as /user/id"
    assert words_for(FileSettings, ("tokens", "cookie", "domain")) == "a domain such as example.com"
    assert words_for(FileSettings, ("log", "level")) == ""


def test_secret_keys() -> None:
    """Secrets are known by their type, in lists too; other keys are none."""
    assert secret_keys(FileSettings, ("tokens", "keys", 0)) == ("secret", "private_key")
    assert secret_keys(FileSettings, ("tokens",)) == ("refresh_secret",)
    assert secret_keys(FileSettings, ("redis",)) == ()
