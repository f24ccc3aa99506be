"""The Cookie field of requests, read and shortened without touching a byte that is not meant.

The one idea: a field is cut at its semicolons as servers cut it (RFC 6265 section 4.2.1), so what is found here is what
a backend would find; cookies of other names keep their bytes, their order and their fields.
"""

from __future__ import annotations

from gateway.exchange import Exchange, Handler, Headers, Reply, header_values

_BLANK = b" \t"


def values_of(headers: Headers, name: bytes) -> list[str]:
    """Return every value of the cookie `name` that is not empty, over all Cookie fields, without its quotes."""
    found = []
    for line in header_values(headers, b"cookie"):
        for pair in line.split(b";"):
            key, _, value = pair.strip(_BLANK).partition(b"=")
            if key == name and (value := value.strip(b'"')):
                found.append(value.decode("latin-1"))
    return found


def without_cookie(headers: Headers, name: bytes) -> Headers:
    """Return the fields without the cookie `name`; a Cookie field of which nothing is left goes.

    The very same list comes back when there is no such cookie.
    """
    for key, value in headers:
        if len(key) == 6 and name in value and key.lower() == b"cookie":
            break
    else:
        return headers
    kept: Headers = []
    for key, value in headers:
        if key.lower() != b"cookie":
            kept.append((key, value))
        elif (rest := _shortened(value, name)) is not None:
            kept.append((key, rest))
    return kept


def _shortened(value: bytes, name: bytes) -> bytes | None:
    """Return a Cookie field's value without a cookie, None when no other is in it."""
    pairs = value.split(b";")
    kept = [pair for pair in pairs if not _is(pair, name)]
    if len(kept) == len(pairs):
        return value
    if not any(pair.strip(_BLANK) for pair in kept):
        return None
    if _is(pairs[0], name):  # the blank that followed the first separator leads no field
        kept[0] = kept[0].lstrip(_BLANK)
    return b";".join(kept)


def _is(pair: bytes, name: bytes) -> bool:
    key, equals, _ = pair.partition(b"=")
    return bool(equals) and key.strip(_BLANK) == name


class RefreshCookieLayer:
    """Keeps the refresh cookie from the backend, which has no use for it: `mode: issue` mints and rotates here.

    The access cookie passes.
    """

    def __init__(self, name: str) -> None:
        self._name = name.encode()

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward without the cookie."""
        exchange.headers = without_cookie(exchange.headers, self._name)
        return await forward(exchange)
