"""jsforce, unmodified, straight against the simulated Salesforce."""

from __future__ import annotations

import pytest

from gateway.demo.accounts import SALESFORCE
from gateway.demo.services import Services
from tests.demo.jsforce_client import needs_jsforce, run

pytestmark = needs_jsforce


async def test_both_logins_read_all_pages(services: Services) -> None:
    """By SOAP and by OAuth, it stays at the instance it was told, and reads every page and the usage."""
    address = services.addresses["salesforce"]
    assert await run("logins", address) == {
        "instance": [address, address],
        "names": [12, 12],
        "user": SALESFORCE.username,
        "limit": 100_000,
    }
    assert services.salesforce.report(60)["logins"]["by_grant"] == {"password": 1, "soap": 1}


async def test_records_from_create_to_delete(services: Services) -> None:
    """One record and several, an upsert, a condition, a description, and the error of a record that is gone."""
    seen = await run("records", services.addresses["salesforce"])
    assert "Email" in seen.pop("fields")
    assert seen == {"upserted": True, "read": "B One", "found": 1, "many": [True, False], "gone": "NOT_FOUND"}


async def test_a_bulk_job(services: Services) -> None:
    """Bulk API v1 in XML and CSV: insert, where one record fails, query, and delete."""
    seen = await run("bulk", services.addresses["salesforce"])
    assert seen == {"made": [True, False], "rows": ["A One"], "deleted": True}


async def test_a_bulk_2_job(services: Services) -> None:
    """Bulk API 2.0: insert with its three results, and a query."""
    seen = await run("bulk2", services.addresses["salesforce"])
    assert seen == {"made": 2, "failed": 0, "left": 0, "rows": 14}


async def test_metadata_and_partner_calls(services: Services) -> None:
    """Both SOAP APIs, whose answers are read by the client's own schemas."""
    seen = await run("metadata", services.addresses["salesforce"])
    assert "Contact" in seen.pop("listed")
    assert seen == {"described": ["CustomObject", "Layout"], "read": ["Contact"], "user": SALESFORCE.username}


async def test_sessions_that_ended_are_opened_again_in_each_api(services: Services) -> None:
    """It recognises the end of its session in every API's words, and logs in once for each."""
    assert await run("expiry", services.addresses["salesforce"]) == {"rest": 12, "bulk": 12, "bulk2": 12, "soap": 2}
    report = services.salesforce.report(60)
    assert report["logins"]["count"] == 5
    assert report["expired_answers"] == {"bulk1_xml": 1, "bulk2": 1, "rest": 1, "soap": 1}


@pytest.mark.parametrize("exercise", ["records", "metadata"])
async def test_sessions_that_end_at_random_hold_up_nothing(services: Services, exercise: str) -> None:
    """It logs in again by itself and finishes, however often its session ends; not so an upload, which it streams."""
    behaviour = services.salesforce.behaviour
    behaviour.expire_probability, behaviour.expire_spares = 0.5, 1
    await run(exercise, services.addresses["salesforce"])
    report = services.salesforce.report(60)
    assert report["logins"]["count"] == 1 + sum(report["expired_answers"].values()) >= 2
