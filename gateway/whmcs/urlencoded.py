"""A form or a query as `application/x-www-form-urlencoded`, taken apart without being read more than needed.

The one idea: a field is the bytes between two `&`; what is not a credential is never decoded and encoded again, so its
order, duplicates, charset and nested names stay as they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_to_bytes

from gateway.whmcs.names import is_credential, variable


@dataclass(frozen=True, slots=True)
class Urlencoded:
    """`fields`: what stands between the ampersands, as it came."""

    fields: tuple[bytes, ...]

    def values(self, name: bytes) -> list[bytes]:
        """Return the decoded values of every field that PHP would put into the variable `name`."""
        pairs = (field.partition(b"=") for field in self.fields)
        return [_decoded(value) for key, _, value in pairs if variable(_decoded(key)) == name]

    def without_credentials(self) -> Urlencoded:
        """Return the form without the fields that hold credentials."""
        return Urlencoded(tuple(f for f in self.fields if not is_credential(_decoded(f.partition(b"=")[0]))))

    def beginning_with(self, pairs: Sequence[tuple[str, str]]) -> Urlencoded:
        """Return the form with further fields in front, where PHP's `max_input_vars` does not cut them off."""
        return Urlencoded((*(f"{name}={quote_plus(value)}".encode() for name, value in pairs), *self.fields))

    def content(self) -> bytes:
        """Return the form's bytes."""
        return b"&".join(self.fields)


def read_urlencoded(content: bytes) -> Urlencoded:
    """Return what a content holds; any bytes are such a form."""
    return Urlencoded(tuple(content.split(b"&")) if content else ())


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
