"""From a path and an environment to `Loaded`, or to every error there is.

The one idea: read everything, validate everything, check everything, and only then decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from gateway.config.checks import check_file
from gateway.config.document import Document, read
from gateway.config.environment import apply
from gateway.config.policy import Policy
from gateway.config.policy_checks import check_listeners, check_policy, check_upstreams
from gateway.config.problems import ConfigInvalid, Problem
from gateway.config.root import FileSettings, GatewaySettings
from gateway.config.validation import Checked, validate

DEFAULT_FILE: Final = Path("config.yaml")
_POLICIES: Final = ("policies",)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used."""

    settings: GatewaySettings
    warnings: tuple[Problem, ...]
    """Warnings and notes (`severity` tells them apart), sorted by file, line and column."""
    sources: Mapping[Path, bytes] = field(repr=False)
    """Every file that was read, with the digest of its content."""
    again: Callable[[], Loaded] = field(repr=False)
    """Reads the same files again, with the same environment; raises `ConfigInvalid` as `load` does."""


def locate(flag: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the configuration file: the flag's, else that of `GATEWAY_CONFIG`, else `./config.yaml`.

    Raises:
        ConfigInvalid: when there is no such file.
    """
    named = environ.get("GATEWAY_CONFIG")
    path = flag or (Path(named) if named else DEFAULT_FILE)
    if path.is_file():
        return path
    named_by = "--config" if flag else "GATEWAY_CONFIG" if named else ""
    text = (
        f"there is no such file; correct {named_by}"
        if named_by
        else "there is no such file; start in its folder, or name it with --config FILE or GATEWAY_CONFIG"
    )
    raise ConfigInvalid([Problem(str(path), 0, 0, "", text)])


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Return the settings of `config.yaml` at `path` and of the policies it names.

    Raises:
        ConfigInvalid: holds every error of every file.
    """
    document = read(path, environ)
    if not document.readable:
        raise ConfigInvalid(document.problems)
    problems = [*apply(document, environ, policy=False), *document.problems]
    config, found = validate(FileSettings, document)
    problems += found
    problems += check_file(config, environ)
    policies: list[Checked[Policy]] = []
    if config.sound(_POLICIES):
        files, found = _policy_files(document, path.parent / config.settings.policies)
        problems += found
        for file in files:
            problems += _read_policy(file, environ, policies)
    problems += check_upstreams(policies)
    problems += check_listeners(config, policies)
    settings, warnings = _decide(config, policies, problems)
    documents = [config.document, *(policy.document for policy in policies)]
    sources = {file: content for document in documents for file, content in document.sources.items()}
    return Loaded(settings, warnings, sources, partial(load, path, environ))


def _policy_files(document: Document, directory: Path) -> tuple[list[Path], list[Problem]]:
    """Return the directory's `*.yaml` files by name; hidden ones are an editor's or a ConfigMap mount's."""
    try:
        entries = sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        if _POLICIES not in document.values:
            return [], []
        return [], [document.problem(_POLICIES, f"there is no directory {directory}; make it, or correct the path")]
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        return [], [document.problem(_POLICIES, f"the directory {directory} cannot be read: {reason}")]
    except ValueError:  # a NUL, which no path holds and no message should
        return [], [document.problem(_POLICIES, "is not the path of a directory")]
    ignored = "is not read, because its name does not end in .yaml"
    warnings = [Problem(str(entry), 0, 0, "", ignored, "warning") for entry in entries if entry.suffix == ".yml"]
    return [entry for entry in entries if entry.suffix == ".yaml"], warnings


def _read_policy(file: Path, environ: Mapping[str, str], policies: list[Checked[Policy]]) -> list[Problem]:
    document = read(file, environ)
    if not document.readable:
        return document.problems
    problems = [*apply(document, environ, policy=True), *document.problems]
    policy, found = validate(Policy, document)
    policies.append(policy)
    return [*problems, *found, *check_policy(policy)]


def _decide(
    config: Checked[FileSettings], policies: list[Checked[Policy]], problems: list[Problem]
) -> tuple[GatewaySettings, tuple[Problem, ...]]:
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = [problem for problem in problems if problem.severity != "error"]
    if errors:
        raise ConfigInvalid(errors, warnings)
    settings = GatewaySettings(file=config.settings, policies=tuple(policy.settings for policy in policies))
    return settings, tuple(sorted(set(warnings)))
