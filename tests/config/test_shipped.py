"""The files that are shipped work as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import FileSettings, Loaded, load
from gateway.config.document import read
from gateway.config.environment import VARIABLES
from gateway.config.policy import Policy
from gateway.config.schema import known_keys
from tests.config.support import SECRET

ROOT = Path(__file__).parents[2]
SECTION_6 = {variable.name for variable in VARIABLES if not variable.kind}
"""Of operators; credentials come from a Secret."""


def sample(name: str) -> dict[str, str]:
    """Return the variables of an environment sample."""
    lines = (ROOT / "deploy" / "env" / f"{name}.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def shipped(environ: dict[str, str]) -> Loaded:
    return load(ROOT / "config.yaml", environ)


def test_empty_environment() -> None:
    """The shipped files need nothing: tokens are off, both policies are off, and there is nothing to warn of."""
    loaded = shipped({})
    assert not loaded.settings.file.tokens.enabled
    assert [(policy.upstream, policy.base_url) for policy in loaded.settings.policies] == [
        ("salesforce", ""),
        ("whmcs", ""),
    ]
    assert {warning.severity for warning in loaded.warnings} == {"info"}


def test_shows_the_defaults() -> None:
    """Every value in the shipped `config.yaml` is the key's default, but for the key that needs a secret."""
    file = shipped({}).settings.file
    tokens = file.tokens.model_copy(update={"keys": ()})
    assert file.model_copy(update={"tokens": tokens}) == FileSettings()


def test_shows_every_key() -> None:
    """Operators find every key that exists in the shipped `config.yaml`."""
    data = read(ROOT / "config.yaml", {}).data
    for section, value in data.items():
        if isinstance(value, dict):
            assert value.keys() == set(known_keys(FileSettings, (section,)))
    assert data.keys() == set(known_keys(FileSettings, ()))


@pytest.mark.parametrize("name", ["whmcs", "salesforce"])
def test_policies_show_every_key(name: str) -> None:
    """Operators find every key of a policy in the shipped ones."""
    assert read(ROOT / "policies" / f"{name}.yaml", {}).data.keys() == set(known_keys(Policy, ()))


def test_limits_by_default() -> None:
    """The shipped policies and the table of variables tell the same defaults."""
    salesforce, whmcs = shipped({}).settings.policies
    assert (whmcs.lanes[0].concurrency, whmcs.rate.cap, whmcs.lanes[0].timeout) == (15, 300, 30.0)
    assert salesforce.rate.cap == 600
    lanes = [(lane.name, lane.concurrency, lane.timeout) for lane in salesforce.lanes]
    assert lanes == [("long_running", 22, 600.0), ("default", 15, 30.0)]


def test_no_variable_is_hidden() -> None:
    """Every variable has its effect with the shipped files."""
    for name in ("production", "development"):
        loaded = shipped(sample(name) | {"REDIS_URL": "rediss://cache:6380/0"})
        assert [warning for warning in loaded.warnings if warning.severity == "warning"] == []


@pytest.mark.parametrize("name", ["production", "development"])
def test_samples_hold_every_variable(name: str) -> None:
    """A sample sets each variable that has an effect, once, and no other."""
    assert sample(name).keys() == SECTION_6


def test_production() -> None:
    """The production sample gives strict mode and the lower limits, once Redis, a secret and the vendors are named."""
    environ = sample("production") | {
        "REDIS_URL": "rediss://:hush-password@cache:6380/0",
        "GATEWAY_TOKENS": "true",
        "JWT_SECRET": SECRET,
        "WHMCS_BASE_URL": "https://billing.example.com",
        "SF_BASE_URL": "https://acme.my.salesforce.com",
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    }
    loaded = shipped(environ)
    salesforce, whmcs = loaded.settings.policies
    assert loaded.warnings == ()
    assert loaded.settings.file.tokens.require_redis
    assert (whmcs.lanes[0].concurrency, whmcs.rate.cap, whmcs.lanes[0].timeout) == (10, 200, 45.0)
    assert (salesforce.lanes[1].concurrency, salesforce.rate.cap) == (12, 400)


def test_development() -> None:
    """The development sample runs without a Redis of its own, with the wider limits."""
    loaded = shipped(sample("development"))
    salesforce, whmcs = loaded.settings.policies
    assert not loaded.settings.file.tokens.require_redis
    assert (whmcs.lanes[0].concurrency, whmcs.rate.cap) == (20, 500)
    assert (salesforce.lanes[1].concurrency, salesforce.rate.cap) == (20, 800)


def test_rollback_by_the_environment() -> None:
    """Strict mode and maintenance are switched, and switched back, by their variables alone."""
    on = {"AUTH_REQUIRE_REDIS_FOR_TOKENS": "true", "AUTH_MAINTENANCE_MODE": "true", "REDIS_URL": "redis://cache"}
    for environ, expected in ((on, True), (dict.fromkeys(on, "false") | {"REDIS_URL": "redis://cache"}, False)):
        file = shipped(environ).settings.file
        assert (file.tokens.require_redis, file.maintenance.enabled) == (expected, expected)
