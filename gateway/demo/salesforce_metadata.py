"""The simulated Salesforce's SOAP calls after the login: a few of the partner API, and the metadata API.

The one idea: an answer is built from the organisation's objects, with the elements that the WSDL puts there, so that
clients that check types accept it. Source: Salesforce, SOAP API and Metadata API developer guides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from gateway.clock import Clock
from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_login import USER_INFO
from gateway.demo.salesforce_records import Records
from gateway.demo.salesforce_sessions import Sessions
from gateway.demo.salesforce_soap import envelope, fault, operation
from gateway.demo.salesforce_wire import element, elements, stamp, tag, xml

_NAMESPACES: Final = {"u": "urn:partner.soap.sforce.com", "m": "http://soap.sforce.com/2006/04/metadata"}
_TYPES: Final = {"CustomObject": ("objects", "object"), "Layout": ("layouts", "layout")}


class Soap:
    """Answers SOAP calls of a good session."""

    def __init__(self, clock: Clock, records: Records, sessions: Sessions) -> None:
        self._clock = clock
        self._records = records
        self._sessions = sessions
        self._calls: dict[tuple[str, str], Callable[[str], Any]] = {
            ("u", "getServerTimestamp"): lambda _: {"timestamp": stamp(clock).replace("+0000", "Z")},
            ("u", "getUserInfo"): lambda _: USER_INFO,
            ("u", "logout"): self._log_out,
            ("m", "describeMetadata"): self._describe,
            ("m", "listMetadata"): self._list,
            ("m", "readMetadata"): self._read,
            ("m", "createMetadata"): self._create,
            ("m", "updateMetadata"): self._save,
            ("m", "upsertMetadata"): self._create,
            ("m", "deleteMetadata"): self._save,
        }

    def answer(self, api: str, body: str) -> web.Response:
        """Answer a call to the partner (`u`) or the metadata (`m`) API."""
        name = operation(body)
        call = self._calls.get((api, name))
        if call is None:
            message = f"No operation available for request {{{_NAMESPACES[api]}}}{name}"
            return fault("soapenv:Client", message)
        result = call(body)
        return xml(envelope(tag(f'{name}Response xmlns="{_NAMESPACES[api]}"', {"result": result})))

    def _log_out(self, body: str) -> None:
        self._sessions.end(element(body, "sessionId"))

    def _describe(self, _: str) -> dict[str, Any]:
        objects = [
            {"directoryName": folder, "inFolder": False, "metaFile": False, "suffix": suffix, "xmlName": name}
            for name, (folder, suffix) in _TYPES.items()
        ]
        return {
            "metadataObjects": objects,
            "organizationNamespace": "",
            "partialSaveAllowed": True,
            "testRequired": False,
        }

    def _list(self, body: str) -> list[dict[str, Any]]:
        return [
            self._properties(kind, number)
            for asked in elements(body, "queries")
            if element(asked, "type") == "CustomObject"
            for number, kind in enumerate(self._records.kinds())
        ]

    def _properties(self, kind: str, number: int) -> dict[str, Any]:
        who, name, when = SALESFORCE.user_id, "Integration User", stamp(self._clock).replace("+0000", "Z")
        return {
            "createdById": who,
            "createdByName": name,
            "createdDate": when,
            "fileName": f"objects/{kind}.object",
            "fullName": kind,
            "id": f"01I{number:012}",
            "lastModifiedById": who,
            "lastModifiedByName": name,
            "lastModifiedDate": when,
            "type": "CustomObject",
        }

    def _read(self, body: str) -> dict[str, Any]:
        kind, known = element(body, "type"), self._records.kinds()
        names = [name for name in elements(body, "fullNames") if kind == "CustomObject" and name in known]
        return {f'records xsi:type="{kind}"': [{"fullName": name, "label": name} for name in names]}

    def _create(self, body: str) -> list[dict[str, Any]]:
        for name in elements(body, "fullName"):
            if name.endswith("__c"):
                self._records.all(name)  # a custom object is there from when it is first named
        return [{"created": True, **result} for result in self._save(body)]

    def _save(self, body: str) -> list[dict[str, Any]]:
        names = elements(body, "fullName") or elements(body, "fullNames")
        return [{"fullName": name, "success": True} for name in names]
