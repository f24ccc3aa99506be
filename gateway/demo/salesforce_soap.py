"""How the simulated Salesforce speaks SOAP: envelopes, faults, and which call and session a body holds.

The one idea: it reads the few elements it needs, whatever their prefixes, as the clients spell them differently.
Source: Salesforce, SOAP API developer guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from gateway.demo.salesforce_wire import PREFIX, tag, xml

_OPERATION: Final = re.compile(rf"<{PREFIX}Body(?:\s[^>]*)?>\s*<{PREFIX}(\w+)")


def operation(body: str) -> str:
    """Return the name of the call in an envelope; empty when it holds none."""
    found = _OPERATION.search(body)
    return found[1] if found is not None else ""


def envelope(content: str) -> str:
    """Return an envelope around the content of its body."""
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sf="urn:fault.partner.soap.sforce.com">'
        f"<soapenv:Body>{content}</soapenv:Body></soapenv:Envelope>"
    )


def fault(code: str, message: str, detail: Mapping[str, Any] | None = None) -> web.Response:
    """Return a fault, which always has the status 500."""
    told = {"faultcode": code, "faultstring": message, "detail": detail}
    return xml(envelope(tag("soapenv:Fault", told)), status=500)
