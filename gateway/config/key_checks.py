"""What must hold of the keys and secrets that tokens are signed with.

The one idea: the token room judges a key, by making it; here its verdict gets its place in the file. Nothing is judged
while tokens are off, so that the shipped file needs no secret.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.tokens.settings import TokenSettings

Found = Iterator[Problem]


def check_keys(config: Checked[FileSettings], settings: FileSettings) -> Found:
    """Yield what keeps keys and refresh secrets from being used, and a key set that would be empty."""
    tokens = settings.tokens
    yield from _ids(config, tokens)
    if not tokens.enabled:
        return
    if tokens.mode == "guard" and not (tokens.keys or tokens.refresh_secret or tokens.refresh_secrets):
        text = "mode: guard needs a secret to know tokens by"
        yield config.document.problem(("tokens", "refresh_secret"), text)
    if tokens.mode == "issue" and not tokens.keys:
        yield config.document.problem(("tokens", "keys"), "tokens.enabled needs at least one key")
    yield from _materials(config, tokens)
    if tokens.routes.jwks is not None and all(key.alg == "HS256" for key in tokens.keys):
        text = "there is nothing to publish: every key is HS256, and a secret is never in the set"
        yield config.document.problem(("tokens", "routes", "jwks"), text, "warning")


def _ids(config: Checked[FileSettings], tokens: TokenSettings) -> Found:
    first: dict[str, int] = {}
    for index, key in enumerate(tokens.keys):
        if first.setdefault(key.kid, index) != index:
            text = f"is the kid of tokens.keys[{first[key.kid]}] too; each key needs its own"
            yield config.document.problem(("tokens", "keys", index, "kid"), text)


def _materials(config: Checked[FileSettings], tokens: TokenSettings) -> Found:
    from gateway.tokens.keys import (
        AccessKey,
        KeyProblem,
        access_key,
        refresh_root,
        weakness,
    )  # only here: costly to load

    sound: list[AccessKey] = []
    for index, key in enumerate(tokens.keys):
        try:
            sound.append(access_key(key))
        except KeyProblem as problem:
            yield config.document.problem(("tokens", "keys", index, problem.setting), str(problem))
    if tokens.refresh_secret is not None:
        if lack := weakness(tokens.refresh_secret.get_secret_value().encode()):
            yield config.document.problem(("tokens", "refresh_secret"), f"{lack}; without it one is derived")
        if tokens.refresh_secrets:
            text = "cannot stand beside refresh_secret; leave one of them out"
            yield config.document.problem(("tokens", "refresh_secrets"), text, of_key=True)
    unsound = {key.kid for key in tokens.keys} - {key.kid for key in sound}
    for index, secret in enumerate(tokens.refresh_secrets):
        try:
            if secret.key not in unsound:  # else its key is told of
                refresh_root(secret, tuple(sound))
        except KeyProblem as problem:
            yield config.document.problem(("tokens", "refresh_secrets", index, problem.setting), str(problem))
