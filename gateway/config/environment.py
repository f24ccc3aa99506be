"""The variables that operators of the earlier backend already set, and the keys they stand for.

The one idea: one table. A variable gives the value of a key that the file leaves out; a key that the file sets without
referring to its variable hides it, which is worth a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.document import Document, Failed, KeyPath
from gateway.config.expansion import is_text
from gateway.config.problems import ENVIRONMENT, Problem
from gateway.config.secret_files import SUFFIX

_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable and its key.

    `key` is a path in `config.yaml`, or in the policy of `upstream`, or in its lane `lane`. `default` is given where
    the key itself has none. `kind` is the `type` that the mapping around the key must have, None: any.
    """

    name: str
    key: KeyPath
    upstream: str | None = None
    lane: str | None = None
    default: str | None = None
    kind: str | None = None

    @property
    def milliseconds(self) -> bool:
        """Whether the value is a whole number of milliseconds, and not a duration with its unit."""
        return self.name.endswith("_MS")


VARIABLES: Final = (
    Variable("AUTH_REQUIRE_REDIS_FOR_TOKENS", ("tokens", "require_redis")),
    Variable("AUTH_MAINTENANCE_MODE", ("maintenance", "enabled")),
    Variable("AUTH_MAINTENANCE_MESSAGE", ("maintenance", "message")),
    Variable("WHMCS_QUEUE_CONCURRENCY", ("concurrency",), "whmcs", "default", "15"),
    Variable("WHMCS_QUEUE_INTERVAL_CAP", ("rate", "cap"), "whmcs", None, "300"),
    Variable("WHMCS_QUEUE_TIMEOUT_MS", ("timeout",), "whmcs", "default", "30000"),
    Variable("SF_QUEUE_CONCURRENCY", ("concurrency",), "salesforce", "default", "15"),
    Variable("SF_QUEUE_LONG_RUNNING_CONCURRENCY", ("concurrency",), "salesforce", "long_running", "22"),
    Variable("SF_QUEUE_INTERVAL_CAP", ("rate", "cap"), "salesforce", None, "600"),
    Variable("SF_QUEUE_TIMEOUT_MS", ("timeout",), "salesforce", "default", "30000"),
    Variable("SF_QUEUE_LONG_RUNNING_TIMEOUT_MS", ("timeout",), "salesforce", "long_running", "600000"),
    Variable("SF_AUTH_TIMEOUT_MS", ("auth", "timeout"), "salesforce"),
    Variable("SF_TOKEN_TTL_MS", ("auth", "ttl"), "salesforce"),
    Variable("SF_TOKEN_REFRESH_BUFFER_MS", ("auth", "refresh_buffer"), "salesforce"),
    Variable("WHMCS_IDENTIFIER", ("auth", "identifier"), "whmcs", kind="whmcs"),
    Variable("WHMCS_SECRET", ("auth", "secret"), "whmcs", kind="whmcs"),
    Variable("WHMCS_ACCESSKEY", ("auth", "accesskey"), "whmcs", kind="whmcs"),
)
"""Every variable whose key exists."""


def apply(document: Document, environ: Mapping[str, str], *, policy: bool) -> list[Problem]:
    """Give the document's left-out keys their variables' values; return errors, and warnings of hidden variables.

    An empty variable counts as unset, as it does for `${VAR:-default}`.
    """
    upstream = document.data.get("upstream") if policy else None
    if policy and not isinstance(upstream, str):
        return []
    problems: list[Problem] = []
    for variable in VARIABLES:
        path = _locate(variable, document.data) if variable.upstream == upstream else None
        if path is None:
            problems += _nowhere(variable, document, environ) if variable.upstream == upstream else ()
            continue
        if path in document.values:
            problems += _hidden(variable, path, document, environ)
        else:
            problems += _give(variable, path, document, environ)
    return problems


def _locate(variable: Variable, data: dict[str, Any]) -> KeyPath | None:
    """Return the variable's path in this document; None when the mapping around the key cannot take it."""
    path = variable.key
    if variable.lane is not None:
        lanes = data.get("lanes")
        if not isinstance(lanes, list):
            return None
        named = (i for i, lane in enumerate(lanes) if isinstance(lane, dict) and lane.get("name") == variable.lane)
        index = next(named, None)
        if index is None:
            return None
        path = ("lanes", index, *path)
    here: Any = data
    for part in path[:-1]:
        here = here.get(part, {}) if isinstance(here, dict) else here[part]
        if not isinstance(here, dict | list):
            return None
    return path if isinstance(here, dict) and _takes(here, variable) else None


def _takes(mapping: dict[str, Any], variable: Variable) -> bool:
    """Whether a mapping is of the variable's kind, and does not name a file in the key's place."""
    named = f"{variable.key[-1]}{SUFFIX}" in mapping
    return not named and variable.kind in (None, mapping.get("type"))


def _hidden(variable: Variable, path: KeyPath, document: Document, environ: Mapping[str, str]) -> list[Problem]:
    if not environ.get(variable.name) or variable.name in document.variables.get(path, ()):
        return []
    text = f"the environment variable {variable.name} is set but has no effect, because this value does not refer to it"
    return [document.problem(path, text, "warning")]


def _nowhere(variable: Variable, document: Document, environ: Mapping[str, str]) -> list[Problem]:
    section = str(variable.key[0])
    if (
        variable.kind
        or len(variable.key) == 1
        or document.data.get(section, {}) is not None
        or not environ.get(variable.name)
    ):
        return []
    text = f"the environment variable {variable.name} is set but has no effect, because {section} is null"
    return [document.problem((section,), text, "warning")]


def _give(variable: Variable, path: KeyPath, document: Document, environ: Mapping[str, str]) -> list[Problem]:
    name: str | None = variable.name
    value: Any = environ.get(variable.name)
    if not value:
        name, value = None, variable.default
    if value is None:
        return []
    problem = _unusable(variable, value)
    if problem:
        document.failed.add(path)
        document.give(path, Failed(), name)
        return [Problem(ENVIRONMENT, 0, 0, variable.name, problem)]
    document.give(path, f"{value}ms" if variable.milliseconds else value, name)
    return []


def _unusable(variable: Variable, value: str) -> str:
    if not is_text(value):
        return "is not valid UTF-8"
    if variable.milliseconds and _WHOLE_NUMBER.fullmatch(value) is None:
        return "must be a whole number of milliseconds"
    return ""
