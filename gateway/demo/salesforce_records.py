"""The simulated organisation's records: objects of a few kinds, and what can be done with one of them.

The one idea: it knows nothing of an API. The REST API, both Bulk APIs and composite calls work on the same records,
so that what one of them wrote another one reads.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_wire import SalesforceError, not_found

Record = dict[str, Any]

PREFIXES: Final = {
    "Account": "001", "Contact": "003", "User": "005", "Opportunity": "006", "Organization": "00D", "Lead": "00Q",
    "Task": "00T", "Case": "500",
}  # fmt: skip
_CUSTOM: Final = "a00"
_REQUIRED: Final = {"Account": "Name", "Contact": "LastName", "Lead": "LastName"}
_NAMES: Final = (
    "Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth",
    "Radia Perlman", "Leslie Lamport", "Frances Allen", "Tony Hoare", "Karen Spärck Jones", "Jim Gray",
)  # fmt: skip


class Records:
    """The organisation's records, twelve contacts at first."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Record]] = {kind: {} for kind in PREFIXES}
        for number, name in enumerate(_NAMES, 1):
            first, _, last = name.partition(" ")
            identity = f"003{number:012}"
            self._kinds["Contact"][identity] = {"Id": identity, "FirstName": first, "LastName": last, "Name": name}
        organization, user = SALESFORCE.organization_id, SALESFORCE.user_id
        self._kinds["Organization"][organization] = {"Id": organization, "Name": "Demo", "IsSandbox": False}
        self._kinds["User"][user] = {"Id": user, "Name": "Integration User", "Username": SALESFORCE.username}

    def kinds(self) -> list[str]:
        """Return the kinds of objects there are."""
        return sorted(self._kinds)

    def all(self, kind: str) -> list[Record]:
        """Return every record of a kind, the oldest first."""
        return list(self._of(kind).values())

    def fields(self, kind: str) -> list[str]:
        """Return the names of the fields that records of a kind have."""
        return list(dict.fromkeys(name for row in ({"Id": "", "Name": ""}, *self._of(kind).values()) for name in row))

    def create(self, kind: str, values: Mapping[str, Any]) -> str:
        """Add a record and return its Id."""
        rows = self._of(kind)
        needed = _REQUIRED.get(kind)
        if needed and not values.get(needed):
            raise SalesforceError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{needed}]")
        identity = f"{PREFIXES.get(kind, _CUSTOM)}{secrets.token_hex(6)}"
        rows[identity] = _named(kind, {"Id": identity, **_values(values)})
        return identity

    def read(self, kind: str, identity: str, field: str = "Id") -> Record:
        """Return the record with this Id, or this value in another field."""
        for row in self._of(kind).values():
            if str(row.get(field)) == identity:
                return row
        raise not_found("Provided external ID field does not exist or is not accessible" if field != "Id" else _GONE)

    def update(self, kind: str, identity: str, values: Mapping[str, Any]) -> None:
        """Replace some values of a record; its Id stays."""
        row = self.read(kind, identity)
        row.update(_values(values))
        _named(kind, row)

    def upsert(self, kind: str, field: str, value: str, values: Mapping[str, Any]) -> tuple[str, bool]:
        """Update the record with this value in `field`, or create it; returns its Id and whether it is new."""
        try:
            row = self.read(kind, value, field)
        except SalesforceError:
            if field == "Id" and value:
                raise
            return self.create(kind, {**values, field: value}), True
        self.update(kind, row["Id"], values)
        return str(row["Id"]), False

    def delete(self, kind: str, identity: str) -> None:
        """Remove a record."""
        del self._of(kind)[self.read(kind, identity)["Id"]]

    def kind_of(self, identity: str) -> str:
        """Return the kind of the record with this Id."""
        for kind, rows in self._kinds.items():
            if identity in rows:
                return kind
        raise not_found(_GONE)

    def _of(self, kind: str) -> dict[str, Record]:
        if kind.endswith("__c"):
            return self._kinds.setdefault(kind, {})
        if kind not in self._kinds:
            raise not_found()
        return self._kinds[kind]


_GONE: Final = "Provided record does not exist"


def _values(values: Mapping[str, Any]) -> Record:
    return {name: value for name, value in values.items() if name not in ("Id", "attributes")}


def _named(kind: str, row: Record) -> Record:
    if kind in ("Contact", "Lead"):
        row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)
    return row
