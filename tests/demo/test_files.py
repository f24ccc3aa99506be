"""The configuration that the demo writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigInvalid, GatewaySettings, load
from gateway.demo import files
from gateway.demo.ports import Ports

KEY = {files.KEY_VARIABLE: "hush-key-of-the-demo-0123456789abcdef"}


def loaded(folder: Path, backend: str = "http://127.0.0.1:3000", **environ: str) -> GatewaySettings:
    found = load(files.write(folder, Ports(), backend, environ), {**environ, **KEY})
    assert not found.warnings
    return found.settings


def test_it_is_valid_and_warns_of_nothing(tmp_path: Path) -> None:
    """The gateway takes the files, with tokens on and both policies, all of it on loopback."""
    settings = loaded(tmp_path)
    assert settings.file.tokens.enabled
    assert settings.file.ingress.listen == "127.0.0.1:8080"
    assert settings.file.admin.listen == "127.0.0.1:9900"
    policies = {policy.upstream: policy for policy in settings.policies}
    assert policies["whmcs"].base_url == "http://127.0.0.1:9191"
    assert policies["whmcs"].listen == "127.0.0.1:9181"
    assert [lane.name for lane in policies["salesforce"].lanes] == ["long_running", "default"]
    assert policies["salesforce"].base_url == "http://127.0.0.1:9192"
    assert policies["salesforce"].listen == "127.0.0.1:9182"


def test_the_key_is_not_written(tmp_path: Path) -> None:
    """No file holds the key of the tokens."""
    loaded(tmp_path)
    assert not any("hush-" in path.read_text() for path in tmp_path.rglob("*.yaml"))


def test_the_operators_variables_hold(tmp_path: Path) -> None:
    """Maintenance, strict mode and every queue limit can be set from outside, as in production."""
    settings = loaded(
        tmp_path,
        AUTH_MAINTENANCE_MODE="true",
        AUTH_MAINTENANCE_MESSAGE="Back at noon: 'really' #1",
        AUTH_REQUIRE_REDIS_FOR_TOKENS="true",
        WHMCS_QUEUE_CONCURRENCY="3",
        WHMCS_QUEUE_INTERVAL_CAP="200",
        WHMCS_QUEUE_TIMEOUT_MS="1500",
        SF_QUEUE_CONCURRENCY="4",
        SF_QUEUE_LONG_RUNNING_CONCURRENCY="5",
        SF_QUEUE_INTERVAL_CAP="400",
        SF_QUEUE_TIMEOUT_MS="2500",
        SF_QUEUE_LONG_RUNNING_TIMEOUT_MS="3500",
    )
    assert settings.file.maintenance.enabled
    assert settings.file.maintenance.message == "Back at noon: 'really' #1"
    assert settings.file.tokens.require_redis
    policies = {policy.upstream: policy for policy in settings.policies}
    whmcs, salesforce = policies["whmcs"], policies["salesforce"]
    assert (whmcs.rate.cap, whmcs.rate.per) == (200, 60)
    assert [(lane.concurrency, lane.timeout) for lane in whmcs.lanes] == [(3, 1.5)]
    assert (salesforce.rate.cap, salesforce.rate.per) == (400, 60)
    assert [(lane.concurrency, lane.timeout) for lane in salesforce.lanes] == [(5, 3.5), (4, 2.5)]


@pytest.mark.parametrize("backend", ["http://127.0.0.1:4000", "unix:/run/it's.sock"])
def test_an_own_backend_is_what_was_given(tmp_path: Path, backend: str) -> None:
    """The address reaches the settings as it was typed."""
    assert loaded(tmp_path, backend).file.ingress.backend == backend


@pytest.mark.parametrize("backend", ["nonsense", "http://a\nadmin: {}", "${HOME}", "'"])
def test_a_wrong_backend_is_an_error_of_that_key(tmp_path: Path, backend: str) -> None:
    """Whatever is typed, it is the backend's address and nothing else."""
    with pytest.raises(ConfigInvalid) as invalid:
        loaded(tmp_path, backend)
    assert [problem.key for problem in invalid.value.problems] == ["ingress.backend"]
