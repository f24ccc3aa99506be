"""Nothing secret leaves through a log line.

The one idea: a last processor that looks at every field of every line, by the field's name and by the shape of its
text, after exceptions have become text. The rooms do not log secrets to begin with; this holds when one of them errs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

HIDDEN: Final = "[redacted]"

_NAMES: Final = re.compile(
    r"(^|_)(authorization|cookie|set_cookie|password|passwd|secret|private_key|accesskey|assertion|session_id|"
    r"(access|refresh|id|bearer|oauth)_?token)($|_)",
    re.IGNORECASE,
)
_SHAPES: Final = (
    (re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), HIDDEN),  # a JWT (RFC 7519)
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\b00D\w{3,15}![\w.~-]+"), HIDDEN),  # a session of Salesforce
    (re.compile(r"(?<=://)[^/@\s:]*:[^@\s/]+(?=@)"), HIDDEN),  # user:password of a URL
    (
        re.compile(
            r"\b(password|secret|accesskey|identifier|(?:access|refresh|id|oauth)_?token|client_secret|assertion)"
            r"([\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
)
_SUSPECT: Final = re.compile(
    r"eyj|00d\w{3,15}!|://|-----begin|(?:bearer|basic)\s"
    r"|(?:password|secret|accesskey|identifier|token|assertion)[\"']?\s*[=:]"
)
"""One look that rules most texts out: every shape holds one of these, when it is ASCII, in lower case.

Without regard to case the expression itself would be three times as slow, on each field of each line.
"""
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@lru_cache(maxsize=1024)
def _is_telling(name: str) -> bool:
    return _NAMES.search(name) is not None


def redact(value: Any) -> Any:
    """Return the value with whatever looks like a secret replaced; containers are copied, other objects made text."""
    if isinstance(value, str):
        return _redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(k): HIDDEN if _is_telling(str(k)) else redact(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(v) for v in value]
    return _redact_text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def _redact_text(text: str) -> str:
    if text.isascii() and _SUSPECT.search(text.lower()) is None:
        return text
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return _PEM.sub(HIDDEN, text) if "-----BEGIN" in text else text


def redact_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact one log line (a structlog processor)."""
    for key, value in event.items():
        if not key.startswith("_"):  # structlog's own bookkeeping
            event[key] = HIDDEN if _is_telling(key) else redact(value)
    return event
