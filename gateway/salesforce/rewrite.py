"""What changes in a call and in an answer: the session that a client sends, and the addresses that a login tells.

The one idea: each is a function of bytes, and doing it twice is doing it once, so that a call can be made again with
another session. Everything else of the content stays as it is.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from gateway.exchange import Headers, without
from gateway.salesforce.expiry import Kind

_SESSION: Final = re.compile(
    rb"<((?:[\w.-]+:)?sessionId)((?:\s[^<>]*?)?)(?:/>|>(?:[^<]|<!\[CDATA\[.*?\]\]>)*</\1\s*>)", re.DOTALL
)
_BODY: Final = re.compile(rb"<(?:[\w.-]+:)?Body[\s/>]")
_CALL: Final = re.compile(
    rb"<(?:[\w.-]+:)?Body(?:\s[^>]*)?>\s*(?:<!--.*?-->\s*)*<(?:[\w.-]+:)?([\w.-]+)[\s/>]", re.DOTALL
)
LOGGED_OUT: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
    b' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
    b"<soapenv:Body><logoutResponse/></soapenv:Body></soapenv:Envelope>"
)
"""The answer to a client that logs out of a session which is not its own."""
_SERVER: Final = re.compile(rb"(<(?:[\w.-]+:)?((?:metadataS|s)erverUrl)(?:\s[^<>]*)?>)\s*https?://[^/<\s]*([^<]*)<")
_CREDENTIALS: Final = frozenset((b"authorization", b"x-sfdc-session"))
_PARAMETERS: Final = frozenset((b"oauth_token", b"access_token"))
_ADDRESSES: Final = ("instance_url", "id")


def with_session(headers: Headers, kind: Kind, token: str) -> Headers:
    """Return the fields of a call of this kind with the gateway's session in the place of the client's credentials."""
    fields = without(headers, _CREDENTIALS)
    if kind == "bulk1":
        fields.append((b"X-SFDC-Session", token.encode()))
    elif kind in ("rest", "identity"):
        fields.append((b"Authorization", b"Bearer " + token.encode()))
    return fields


def without_token(target: bytes) -> bytes:
    """Return the target of an identity call without the token that clients may put into its query."""
    path, mark, query = target.partition(b"?")
    kept = [pair for pair in query.split(b"&") if pair.partition(b"=")[0].lower() not in _PARAMETERS]
    return path + mark + b"&".join(kept) if kept else path


def soap_with_session(envelope: bytes, token: str) -> bytes | None:
    """Return (the beginning of) an envelope with this session in its header; None without a place for it there."""
    body = _BODY.search(envelope)
    head = envelope[: body.start()] if body else envelope
    told = escape(token).encode()
    changed, places = _SESSION.subn(
        lambda found: b"<%b%b>%b</%b>" % (found[1], found[2], told, found[1]), head, count=1
    )
    return changed + envelope[len(head) :] if places else None


def soap_call(envelope: bytes) -> bytes:
    """Return which operation (the beginning of) an envelope calls, such as `login`; nothing when it names none."""
    call = _CALL.search(envelope)
    return call[1] if call else b""


def soap_at(content: bytes, address: str) -> bytes:
    """Return the answer to a SOAP login with every server's address replaced by `address` (`scheme://host`)."""
    there = escape(address).encode()
    return _SERVER.sub(lambda found: b"%b%b%b<" % (found[1], there, found[3]), content)


def token_answer_at(content: bytes, address: str) -> bytes:
    """Return the answer of the token endpoint with the instance's address and that of the identity replaced.

    A content that is no JSON object, or names neither, is returned unchanged.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if not isinstance(answer, dict):
        return content
    named = {name: answer[name] for name in _ADDRESSES if isinstance(answer.get(name), str)}
    if not named:
        return content
    return json.dumps(answer | {name: _moved(url, address) for name, url in named.items()}).encode()


def _moved(url: str, address: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.scheme not in ("http", "https"):
        return url
    return address + url[len(f"{parts.scheme}://{parts.netloc}") :]
