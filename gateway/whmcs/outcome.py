"""What an answer of WHMCS means, whatever its status says.

The one idea: `result` is the outcome, and its first bytes are enough: errors are short, and long answers begin with
`{"result":"success"`. Source: WHMCS developer documentation, "API authentication" and "Response types".
"""

from __future__ import annotations

import json
import re
from typing import Final

from gateway.exchange import Failure

_RESULT: Final = re.compile(
    rb'\A\s*(?:\{\s*"result"\s*:\s*"(\w+)"'
    rb"|<\?xml[^>]*>\s*<\w+[^>]*>\s*(?:<action>[^<]*</action>\s*)?<result>(\w+)<)"
)
"""The beginning of an answer as WHMCS writes it, in JSON and, for calls without `responsetype=json`, in XML."""
_MESSAGE: Final = re.compile(rb"""(?:"message"\s*:\s*"|<message>)((?:[^"\\<]|\\.)*)""")

_LOOKED_AT: Final = 4096
_WORDS: Final[tuple[tuple[str, Failure], ...]] = (
    ("authentication failed", "unauthenticated"),
    ("invalid or missing credentials", "unauthenticated"),
    ("invalid ip", "refused"),
    ("invalid permissions", "refused"),
)


def decided(start: bytes) -> bool:
    """Whether the beginning of an answer already tells that it is no failure, or that it tells nothing."""
    text = start.lstrip()
    return bool(text) and ((text[:1] not in b"{<" and text[:1] != b"r") or _result(text) == b"success")


def failure(start: bytes, status: int = 200) -> Failure:
    """Return what kind of failure an answer is, of which `start` is the beginning.

    Where no `result` is told (403 may have none, and PHP may put warnings before it), the known words are looked for.
    """
    message = _error(start)
    if message is None:
        if status not in (401, 403) and (_result(start.lstrip()) is not None or _is_json(start)):
            return ""
        text = start[:_LOOKED_AT].decode("utf-8", "replace").lower()
        return next((kind for words, kind in _WORDS if words in text), "error" if "result=error" in text else "")
    return next((kind for words, kind in _WORDS if message.lower().startswith(words)), "error")


def _is_json(start: bytes) -> bool:
    return start.lstrip()[:1] == b"{"


def _error(start: bytes) -> str | None:
    """Return the message of an error, None when there is none."""
    try:
        told = json.loads(start)
    except (ValueError, RecursionError):  # cut off, or no JSON
        return _cut_off(start)
    if not isinstance(told, dict) or told.get("result") != "error":
        return None
    return str(told.get("message", ""))


def _cut_off(start: bytes) -> str | None:
    if _result(start) != b"error":
        return None
    message = _MESSAGE.search(start)
    return message[1].decode("utf-8", "replace") if message else ""


def _result(start: bytes) -> bytes | None:
    match = _RESULT.match(start)
    return match and (match[1] or match[2])
