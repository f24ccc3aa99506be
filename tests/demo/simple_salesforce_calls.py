"""What simple-salesforce is asked to do, one of the vendor's APIs at a time, wherever it is connected to.

The one idea: an organisation with twelve contacts, of which five fit on a page, looks the same before each of these as
after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceResourceNotFound

CONTACTS: Final = "SELECT Id, Name FROM Contact"


def names(client: Salesforce) -> list[str]:
    return [record["Name"] for record in client.query_all(CONTACTS)["records"]]


def pages(client: Salesforce) -> None:
    """A query page by page, by both ways of naming the next one; all at once; and one after the other."""
    page, found = client.query(CONTACTS), 0
    for by_address in (True, False, True):
        found += len(page["records"])
        if page["done"]:
            break
        url = page["nextRecordsUrl"]
        page = client.query_more(url if by_address else url.rpartition("/")[2], identifier_is_url=by_address)
    assert found == page["totalSize"] == 12
    assert len(names(client)) == 12
    assert len(list(client.query_all_iter(CONTACTS))) == 12
    assert client.api_usage["api-usage"].total == 100_000


def records(client: Salesforce) -> None:
    """Create, read, update, upsert, describe, a query with a condition, and delete."""
    made = client.Contact.create({"LastName": "O'Neil", "Email": "o@example.com"})
    assert client.Contact.get(made["id"])["Name"] == "O'Neil"
    assert client.Contact.update(made["id"], {"FirstName": "Jo"}) == 204
    assert client.query(r"SELECT Name FROM Contact WHERE LastName = 'O\'Neil'")["records"][0]["Name"] == "Jo O'Neil"
    assert client.Contact.upsert("Email/o@example.com", {"FirstName": "Al"}) == 200
    assert client.Contact.upsert("Email/n@example.com", {"LastName": "New"}) == 201
    assert client.Contact.get_by_custom_id("Email", "o@example.com")["FirstName"] == "Al"
    assert "Email" in [field["name"] for field in client.Contact.describe()["fields"]]
    assert client.is_sandbox() is False
    assert client.Contact.delete(made["id"]) == 204
    assert client.Contact.delete(client.Contact.get_by_custom_id("Email", "n@example.com")["Id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        client.Contact.get(made["id"])
    assert client.limits()["DailyApiRequests"]["Max"] == 100_000
    assert "Contact" in [one["name"] for one in client.describe()["sobjects"]]


def bulk(client: Salesforce) -> None:
    """Bulk API v1 in JSON: insert, where one record fails, update, query, and delete."""
    made = client.bulk.Contact.insert([{"LastName": "One"}, {"LastName": "Two"}, {"FirstName": "None"}])
    assert [one["success"] for one in made] == [True, True, False]
    assert made[2]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    ids = [{"Id": one["id"]} for one in made[:2]]
    changed = client.bulk.Contact.update([{**one, "FirstName": "A"} for one in ids])
    assert [one["created"] for one in changed] == [False, False]
    found = client.bulk.Contact.query("SELECT Id, Name FROM Contact WHERE FirstName = 'A'")
    assert sorted(one["Name"] for one in found) == ["A One", "A Two"]
    assert all(one["success"] for one in client.bulk.Contact.delete(ids))
    assert len(names(client)) == 12


def bulk_2(client: Salesforce) -> None:
    """Bulk API 2.0: insert, its results, a query in pages by the locator, and delete."""
    rows = [{"LastName": "One", "FirstName": "A"}, {"LastName": "", "FirstName": "B"}]
    (told,) = client.bulk2.Contact.insert(records=rows, wait=0)
    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (2, 1)
    assert client.bulk2.Contact.get_successful_records(told["job_id"]).count("\n") == 2
    assert "REQUIRED_FIELD_MISSING" in client.bulk2.Contact.get_failed_records(told["job_id"])
    found = list(client.bulk2.Contact.query(CONTACTS, wait=0))
    assert [page.count("\n") - 1 for page in found] == [5, 5, 3]
    made = next(line for line in found[2].splitlines() if "A One" in line).split(",")[0].strip('"')
    client.bulk2.Contact.delete(records=[{"Id": made}], wait=0)
    assert len(names(client)) == 12


def metadata(client: Salesforce) -> None:
    """The metadata API, whose answers are checked against Salesforce's WSDL."""
    mdapi = client.mdapi
    try:
        assert "CustomObject" in [one.xmlName for one in mdapi.describe_metadata().metadataObjects]
        query = mdapi._client.get_type("ns0:ListMetadataQuery")(type="CustomObject")
        assert "Contact" in [one.fullName for one in mdapi.list_metadata([query])]
        assert mdapi.CustomObject.read(["Contact"]).fullName == "Contact"
        mdapi.CustomObject.delete(["Old__c"])
    finally:
        mdapi._client.transport.session.close()


CALLS: Final[tuple[Callable[[Salesforce], None], ...]] = (pages, records, bulk, bulk_2, metadata)
