"""Reads the part of SOQL that the simulated Salesforce answers, and answers it from records.

The one idea: what it does not understand it refuses as malformed; it never answers another question than was asked.
Source: Salesforce, SOQL and SOSL reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.demo.salesforce_records import Record, Records
from gateway.demo.salesforce_wire import SalesforceError

_QUERY: Final = re.compile(
    r"\s*SELECT\s+(?P<fields>[\w\s.,()]+?)\s+FROM\s+(?P<kind>\w+)(?:\s+WHERE\s+(?P<where>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>\w+)(?P<down>\s+DESC)?(?:\s+ASC)?)?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_VALUE: Final = r"'(?:[^'\\]|\\.)*'|[\w.+:-]+"
_CONDITION: Final = re.compile(rf"\s*(\w+)\s*(=|!=|IN)\s*({_VALUE}|\((?:\s*(?:{_VALUE})\s*,?)+\))\s*", re.IGNORECASE)
_AND: Final = re.compile(r"\s+AND\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Condition:
    """A field that has, or has not (`negated`), one of some values."""

    field: str
    values: tuple[str, ...]
    negated: bool

    def holds(self, row: Record) -> bool:
        """Whether a record meets it."""
        found = _get(row, self.field)
        text = "null" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        return (text in self.values) != self.negated


@dataclass(frozen=True, slots=True)
class Query:
    """A query: which fields of which records. `count`: only how many."""

    fields: tuple[str, ...]
    kind: str
    conditions: tuple[Condition, ...]
    order: str
    descending: bool
    limit: int | None

    @property
    def count(self) -> bool:
        """Whether it asks only how many there are."""
        return self.fields == ("COUNT()",)

    def run(self, records: Records) -> list[Record]:
        """Return the records it finds, with the fields it asks for and `Id` beside them."""
        if self.kind not in records.kinds():
            raise SalesforceError(400, "INVALID_TYPE", f"sObject type '{self.kind}' is not supported.")
        rows = [row for row in records.all(self.kind) if all(one.holds(row) for one in self.conditions)]
        if self.order:
            rows.sort(key=lambda row: str(_get(row, self.order) or ""), reverse=self.descending)
        return [{"Id": row["Id"], **self._chosen(row)} for row in rows[: self.limit]]

    def _chosen(self, row: Record) -> Record:
        if self.count:
            return {}
        if self.fields[0].upper().startswith("FIELDS("):
            return row
        return {name: _get(row, name) for name in self.fields}


def parse(text: str) -> Query:
    """Return the query that `text` spells.

    Raises:
        SalesforceError: MALFORMED_QUERY, for what is no SOQL, and for SOQL that is not understood here.
    """
    found = _QUERY.fullmatch(text)
    if found is None:
        raise SalesforceError(400, "MALFORMED_QUERY", "unexpected token: the query is not understood")
    fields = tuple(name.strip() for name in found["fields"].split(","))
    return Query(
        fields=tuple(name.upper() if "(" in name else name for name in fields),
        kind=found["kind"],
        conditions=tuple(_condition(one) for one in _AND.split(found["where"])) if found["where"] else (),
        order=found["order"] or "",
        descending=found["down"] is not None,
        limit=int(found["limit"]) if found["limit"] else None,
    )


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise SalesforceError(400, "MALFORMED_QUERY", "unexpected token: the condition is not understood")
    values = tuple(_plain(one) for one in re.findall(_VALUE, found[3]))
    return Condition(found[1], values, negated=found[2] == "!=")


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith("'") else value


def _get(row: Record, name: str) -> Any:
    if name in row:
        return row[name]
    return next((value for key, value in row.items() if key.lower() == name.lower()), None)
