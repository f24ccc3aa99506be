"""What can go wrong with Redis, told in ten words.

The one idea: errors of the library, of the socket and of the clock are mapped once, here at the border, to the kinds
of `StoreUnavailable`. What a kind stands for is what the operator has to do about it.
"""

from __future__ import annotations

import ssl
from typing import Final

import redis.exceptions as errors

from gateway.errors import StoreUnavailable

FAILURES: Final = (errors.RedisError, errors.RedisClusterException, OSError)
"""Everything that asking Redis may raise (`TimeoutError` of the standard library is an `OSError`)."""

_KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.BusyLoadingError, "loading"),
    (errors.AuthenticationError, "auth"),
    (errors.AuthorizationError, "auth"),
    (errors.NoPermissionError, "auth"),
    (errors.AuthenticationWrongNumberOfArgsError, "auth"),
    (errors.ReadOnlyError, "readonly"),
    (errors.MasterDownError, "readonly"),
    (errors.OutOfMemoryError, "oom"),
    (errors.AskError, "topology"),  # and MOVED: a cluster's node, whose URL does not say so or that leads in circles
    (errors.TryAgainError, "topology"),
    (errors.ClusterDownError, "topology"),
    (errors.TimeoutError, "timeout"),
    (TimeoutError, "timeout"),
    (errors.ConnectionError, "connection"),
    (errors.InvalidResponse, "connection"),
    (OSError, "connection"),
)

_CODES: Final = {
    "NOREPLICAS": "readonly",  # min-replicas-to-write is not met
    "MISCONF": "readonly",  # the disk is full or broken, and Redis takes no writes
    "BUSY": "timeout",  # a script runs for longer than it may
}
"""Error codes the library has no class for."""

_LONGEST_DETAIL: Final = 160


def kind_of(error: BaseException) -> str:
    """Return the kind of a failure; what is not known is `other`."""
    if _is_mistrust(error):
        return "tls"
    for type_, kind in _KINDS:
        if isinstance(error, type_):
            return kind
    return _CODES.get(str(error).partition(" ")[0], "other")


def _is_mistrust(error: BaseException) -> bool:
    """Whether a TLS handshake failed for what the peer is, and not because it broke off."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def unavailable(name: str, error: BaseException) -> StoreUnavailable:
    """Return the error that the rooms are told: which command failed, and in short why."""
    return StoreUnavailable(kind_of(error), f"{name}: {_describe(error)}")


def _describe(error: BaseException) -> str:
    """Shorten the text, and end it at the first quote: there Redis echoes arguments of the command."""
    text = str(error).partition("'")[0].partition('"')[0].strip()
    return f"{type(error).__name__} {text[:_LONGEST_DETAIL]}".strip()
