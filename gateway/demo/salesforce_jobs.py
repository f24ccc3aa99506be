"""What both of the simulated Bulk APIs have in common: jobs, and what becomes of the records that they bring.

The one idea: records are changed when they arrive, and a job or batch is told to be done `job_seconds` after its data
is complete, whoever asks; nothing runs meanwhile. Source: Salesforce, Bulk API 2.0 and Bulk API developer guide.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import Clock
from gateway.demo.salesforce_records import Record, Records
from gateway.demo.salesforce_wire import SalesforceError

QUERIES: Final = ("query", "queryAll")
_CHANGES: Final = ("insert", "update", "upsert", "delete", "hardDelete")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record that a job brought; `error` is empty when it worked."""

    record: Record
    id: str = ""
    created: bool = False
    error: str = ""
    code: str = ""


@dataclass(slots=True)
class Job:
    """A job.

    `done_at` is set when its data is complete, `aborted` when somebody gave it up, `error` when its data made no sense.
    """

    operation: str
    object: str
    content_type: str
    created_at: str
    version: float
    external_id: str = ""
    delimiter: str = ","
    query: str = ""
    id: str = field(default_factory=lambda: f"750{secrets.token_hex(6)}")
    done_at: float | None = None
    aborted: bool = False
    error: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    rows: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.operation not in (*QUERIES, *_CHANGES):
            raise SalesforceError(400, "INVALIDOPERATION", f"There is no operation {self.operation!r}")

    @property
    def failed(self) -> int:
        """How many records it could not change."""
        return sum(1 for outcome in self.outcomes if outcome.error)

    def done(self, clock: Clock) -> bool:
        """Whether it is complete at the moment."""
        return self.done_at is not None and clock.monotonic() >= self.done_at


def change(records: Records, job: Job, rows: Iterable[Mapping[str, Any]]) -> list[Outcome]:
    """Carry out a job's operation on each of the rows; one that fails holds up no other."""
    outcomes = []
    for row in rows:
        record = dict(row)
        try:
            identity, created = _change(records, job, record)
            outcomes.append(Outcome(record, identity, created))
        except SalesforceError as refused:
            outcomes.append(Outcome(record, error=refused.message, code=refused.code))
    return outcomes


def _change(records: Records, job: Job, row: Record) -> tuple[str, bool]:
    identity = str(row.get("Id") or "")
    if job.operation == "insert":
        return records.create(job.object, row), True
    if job.operation == "update":
        records.update(job.object, identity, row)
    elif job.operation == "upsert":
        name = job.external_id or "Id"
        return records.upsert(job.object, name, str(row.get(name) or ""), row)
    else:
        records.delete(job.object, identity)
    return identity, False
