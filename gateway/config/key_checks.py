"""What must hold of the keys and secrets that tokens are signed with.

The one idea: the token room judges a key, by making it; here its verdict gets its place in the file. Nothing is judged
while tokens are off, so that the shipped file needs no secret, and no verdict is passed on that a mistake of another
kind led to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gateway.config.document import KeyPath
from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.tokens.settings import KeySettings, RefreshSecretSettings

if TYPE_CHECKING:
    from gateway.tokens.keys import AccessKey

_MODE: Final = ("tokens", "mode")
_KEYS: Final = ("tokens", "keys")
_SECRET: Final = ("tokens", "refresh_secret")
_SECRETS: Final = ("tokens", "refresh_secrets")
_JWKS: Final = ("tokens", "routes", "jwks")

Found = Iterator[Problem]


def check_keys(config: Checked[FileSettings], *, enabled: bool) -> Found:
    """Yield what keeps keys and refresh secrets from being used, and a key set that would be empty.

    Args:
        config: what was read.
        enabled: whether tokens are on.
    """
    yield from _ids(config)
    if enabled:
        yield from _enough(config)
        made: list[AccessKey] = []
        yield from _access_keys(config, made)
        yield from _refresh_secret(config)
        yield from _refresh_secrets(config, tuple(made))
        yield from _key_set(config)


def _ids(config: Checked[FileSettings]) -> Found:
    first: dict[str, int] = {}
    for index, (path, key) in enumerate(_keys(config)):
        if config.sound((*path, "kid")) and first.setdefault(key.kid, index) != index:
            text = f"is the kid of tokens.keys[{first[key.kid]}] too; each key needs its own"
            yield config.document.problem((*path, "kid"), text)


def _enough(config: Checked[FileSettings]) -> Found:
    tokens = config.settings.tokens
    if not config.sound(_MODE, _KEYS) or tokens.keys:
        return
    if tokens.mode == "issue":
        yield config.document.problem(_KEYS, "tokens.enabled needs at least one key")
    elif config.sound(_SECRET, _SECRETS) and not (tokens.refresh_secret or tokens.refresh_secrets):
        yield config.document.problem(_SECRET, "mode: guard needs a secret to know tokens by")


def _access_keys(config: Checked[FileSettings], made: list[AccessKey]) -> Found:
    """Yield what is wrong with the keys, and add those that can be used to `made`."""
    from gateway.tokens.keys import KeyProblem, access_key  # only here: costly to load

    for path, key in _keys(config):
        if not config.sound((*path, "alg")):
            continue
        named = config.sound((*path, "kid"))
        try:
            usable = access_key(key if named else key.model_copy(update={"kid": ""}))
        except KeyProblem as problem:
            if config.sound((*path, problem.setting)):
                yield config.document.problem((*path, problem.setting), str(problem))
        else:
            if named:
                made.append(usable)


def _refresh_secret(config: Checked[FileSettings]) -> Found:
    from gateway.tokens.keys import weakness  # only here: costly to load

    tokens = config.settings.tokens
    if not config.sound(_SECRET) or tokens.refresh_secret is None:
        return
    if lack := weakness(tokens.refresh_secret.get_secret_value().encode()):
        yield config.document.problem(_SECRET, f"{lack}; without it one is derived")
    if config.sound(_SECRETS) and tokens.refresh_secrets:
        text = "cannot stand beside refresh_secret; leave one of them out"
        yield config.document.problem(_SECRETS, text, of_key=True)


def _refresh_secrets(config: Checked[FileSettings], made: tuple[AccessKey, ...]) -> Found:
    from gateway.tokens.keys import KeyProblem, refresh_root  # only here: costly to load

    for index, secret in enumerate(config.settings.tokens.refresh_secrets):
        path = (*_SECRETS, index)
        if not config.sound((*path, "secret"), (*path, "key")) or _is_of_unusable_key(config, secret, made):
            continue
        try:
            refresh_root(secret, made)
        except KeyProblem as problem:
            yield config.document.problem((*path, problem.setting), str(problem))


def _is_of_unusable_key(
    config: Checked[FileSettings], secret: RefreshSecretSettings, made: tuple[AccessKey, ...]
) -> bool:
    """Whether a secret is derived from a key that cannot be used, or may be: that key is told of, so this is not."""
    if secret.key is None or secret.secret is not None or any(key.kid == secret.key for key in made):
        return False
    named = [config.sound((*path, "kid")) for path, _ in _keys(config)]
    if not config.sound(_KEYS) or not all(named):
        return True
    return any(key.kid == secret.key for _, key in _keys(config))


def _key_set(config: Checked[FileSettings]) -> Found:
    keys = list(_keys(config))
    if not config.sound(_JWKS, _KEYS, *((*path, "alg") for path, _ in keys)):
        return
    if config.settings.tokens.routes.jwks is not None and all(key.alg == "HS256" for _, key in keys):
        text = "there is nothing to publish: every key is HS256, and a secret is never in the set"
        yield config.document.problem(_JWKS, text, "warning")


def _keys(config: Checked[FileSettings]) -> Iterator[tuple[KeyPath, KeySettings]]:
    """Yield each key with its path. What is in it may be unsound, and itself too."""
    for index, key in enumerate(config.settings.tokens.keys):
        yield (*_KEYS, index), key
