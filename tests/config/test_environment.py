"""Variables for keys that the files leave out."""

from __future__ import annotations

import pytest

from gateway.config.environment import VARIABLES
from tests.config.support import Place

WHMCS = "upstream: whmcs\nlisten: 127.0.0.1:9181\nlanes:\n  - name: default\n"
SALESFORCE = (
    "upstream: salesforce\nlisten: 127.0.0.1:9182\n"
    "lanes:\n  - {name: long_running, match: [{path: /x}]}\n  - {name: default}\n"
)


def test_each_variable_reaches_its_key(place: Place) -> None:
    """Every variable gives the value of its key, milliseconds as a duration."""
    place.config("redis: {allow_embedded: true}\n")
    place.policy(WHMCS, "whmcs.yaml").policy(SALESFORCE, "salesforce.yaml")
    settings = place.load(
        {
            "AUTH_REQUIRE_REDIS_FOR_TOKENS": "true",
            "AUTH_MAINTENANCE_MODE": "true",
            "AUTH_MAINTENANCE_MESSAGE": "Back: at noon # or so",
            "WHMCS_QUEUE_CONCURRENCY": "1",
            "WHMCS_QUEUE_INTERVAL_CAP": "2",
            "WHMCS_QUEUE_TIMEOUT_MS": "3000",
            "SF_QUEUE_CONCURRENCY": "4",
            "SF_QUEUE_LONG_RUNNING_CONCURRENCY": "5",
            "SF_QUEUE_INTERVAL_CAP": "6",
            "SF_QUEUE_TIMEOUT_MS": "7000",
            "SF_QUEUE_LONG_RUNNING_TIMEOUT_MS": "8500",
        }
    ).settings
    assert settings.file.tokens.require_redis
    assert settings.file.maintenance.enabled
    assert settings.file.maintenance.message == "Back: at noon # or so"
    salesforce, whmcs = settings.policies
    assert (whmcs.lanes[0].concurrency, whmcs.rate.cap, whmcs.lanes[0].timeout) == (1, 2, 3.0)
    assert salesforce.rate.cap == 6
    assert [(lane.concurrency, lane.timeout) for lane in salesforce.lanes] == [(5, 8.5), (4, 7.0)]


def test_documented_defaults(place: Place) -> None:
    """Keys left out by the file and the environment have the defaults that the variables are documented with."""
    place.policy(WHMCS, "whmcs.yaml").policy(SALESFORCE, "salesforce.yaml")
    salesforce, whmcs = place.load({"WHMCS_QUEUE_CONCURRENCY": ""}).settings.policies
    assert (whmcs.lanes[0].concurrency, whmcs.rate.cap, whmcs.lanes[0].timeout) == (15, 300, 30.0)
    assert salesforce.rate.cap == 600
    assert [(lane.concurrency, lane.timeout) for lane in salesforce.lanes] == [(22, 600.0), (15, 30.0)]


def test_file_comes_first(place: Place) -> None:
    """A literal in the file wins over the variable, and the variable that it hides is warned of at its place."""
    place.config("maintenance:\n  enabled: false\n")
    environ = {"AUTH_MAINTENANCE_MODE": "true"}
    assert not place.load(environ).settings.file.maintenance.enabled
    assert place.warnings(environ) == [
        "config.yaml:2:12: maintenance.enabled: the environment variable AUTH_MAINTENANCE_MODE is set but has no "
        "effect, because this value does not refer to it"
    ]


def test_hidden_in_a_policy(place: Place) -> None:
    """A literal of a lane hides its own lane's variable and no other."""
    place.policy(SALESFORCE.replace("{name: default}", "{name: default, concurrency: 9}"))
    environ = {"SF_QUEUE_CONCURRENCY": "3", "SF_QUEUE_LONG_RUNNING_CONCURRENCY": "4", "WHMCS_QUEUE_CONCURRENCY": "5"}
    hidden = [line for line in place.warnings(environ) if "no effect" in line]
    assert len(hidden) == 1
    assert hidden[0].startswith("policies/crm.yaml:5:34: lanes[1].concurrency: the environment variable SF_QUEUE_CONC")


def test_reference_does_not_hide(place: Place) -> None:
    """A scalar that refers to the variable itself does not hide it; one that refers to another does."""
    environ = {"AUTH_MAINTENANCE_MODE": "true", "OTHER": "false"}
    assert place.config("maintenance:\n  enabled: ${AUTH_MAINTENANCE_MODE:-false}\n").warnings(environ) == []
    assert len(place.config("maintenance:\n  enabled: ${OTHER}\n").warnings(environ)) == 1


def test_empty_variable_counts_as_unset(place: Place) -> None:
    """An empty variable gives no value and is not hidden by any."""
    environ = {"AUTH_MAINTENANCE_MODE": "", "AUTH_MAINTENANCE_MESSAGE": ""}
    place.config("maintenance:\n  enabled: false\n")
    assert place.warnings(environ) == []
    assert place.load(environ).settings.file.maintenance.message.startswith("Authentication service")


def test_other_upstreams_are_left_alone(place: Place) -> None:
    """The vendors' variables say nothing about the policy of another upstream."""
    place.policy(WHMCS.replace("whmcs", "crm"))
    assert place.problems({"WHMCS_QUEUE_CONCURRENCY": "3"}) == [
        "policies/crm.yaml:1:1: rate: is missing and has no default",
        "policies/crm.yaml:4:5: lanes[0].concurrency: is missing and has no default",
        "policies/crm.yaml:4:5: lanes[0].timeout: is missing and has no default",
    ]


def test_hidden_by_a_section_that_is_null(place: Place) -> None:
    """A variable of a section that the file sets to null is warned of; in another policy it is not looked for."""
    place.policy(SALESFORCE + "auth: null\n", "salesforce.yaml").policy(WHMCS + "auth: null\n", "whmcs.yaml")
    assert [
        line for line in place.warnings({"SF_TOKEN_TTL_MS": "1", "SF_AUTH_TIMEOUT_MS": ""}) if "effect" in line
    ] == [
        "policies/salesforce.yaml:6:7: auth: the environment variable SF_TOKEN_TTL_MS is set but has no effect, "
        "because auth is null"
    ]


@pytest.mark.parametrize("around", ["rate: null", "rate: 5", "rate: []", "lanes: {}", "lanes: [x]", "lanes: null"])
def test_malformed_surroundings(place: Place, around: str) -> None:
    """A variable does not repair or hide a mapping that is wrong in the file."""
    place.policy(f"upstream: whmcs\nlisten: 127.0.0.1:9181\n{around}\n")
    lines = place.problems({"WHMCS_QUEUE_INTERVAL_CAP": "3", "WHMCS_QUEUE_CONCURRENCY": "3"})
    assert any(line.startswith("policies/crm.yaml:3:") for line in lines)


@pytest.mark.parametrize("value", ["30s", "1e3", "-5", "30000.5", " ", "٣", "9" * 13])
def test_milliseconds_are_whole_numbers(place: Place, value: str) -> None:
    """A variable of milliseconds takes a whole number and nothing else; its name is the place of the error."""
    place.policy(WHMCS)
    assert place.problems({"WHMCS_QUEUE_TIMEOUT_MS": value}) == [
        "environment: WHMCS_QUEUE_TIMEOUT_MS: must be a whole number of milliseconds"
    ]


def test_range_of_a_given_value(place: Place) -> None:
    """A value that the key refuses is told at the variable, not at the file that does not have it."""
    place.policy(WHMCS)
    environ = {"WHMCS_QUEUE_TIMEOUT_MS": "0", "WHMCS_QUEUE_CONCURRENCY": "many", "AUTH_MAINTENANCE_MODE": "\udce9"}
    assert place.problems(environ) == [
        "environment: AUTH_MAINTENANCE_MODE: is not valid UTF-8",
        "environment: WHMCS_QUEUE_CONCURRENCY: must be a whole number",
        "environment: WHMCS_QUEUE_TIMEOUT_MS: must be more than 0s",
    ]


def test_table() -> None:
    """Every name stands in the table once: the fourteen of operators, and the three of credentials."""
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES) == 14 + 3
