"""The simulated REST API's resources, without HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.demo.salesforce_records import Records
from gateway.demo.salesforce_rest import Rest
from gateway.demo.salesforce_wire import Answer, Call

V = "v62.0"


@pytest.fixture
def rest() -> Rest:
    """The API on the records there are at first, five a page."""
    return Rest(Records(), lambda: 5, lambda: (100, 99))


def call(rest: Rest, method: str, path: str, body: Any = None, **query: str) -> Answer:
    return rest.call(Call(method, f"/{V}{path}", query, body or {}, "https://here"))


def test_the_root_lists_versions_and_a_version_its_resources(rest: Rest) -> None:
    """A client finds its way from the root, and the identity URL at the version."""
    assert V in [version["url"].rpartition("/")[2] for version in rest.call(Call("GET", "", {}, {})).body]
    assert call(rest, "GET", "/").body["identity"] == "https://here/id/00Dsim000000001/005sim000000001"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/limits", 405), ("GET", "/sobjects/Nothing", 404)]
)
def test_what_is_not_there_is_refused(rest: Rest, method: str, path: str, status: int) -> None:
    """An unknown resource or kind is not found, and a wrong method is told apart."""
    assert call(rest, method, path).status == status


def test_a_count_has_no_records(rest: Rest) -> None:
    """COUNT() tells only how many."""
    assert call(rest, "GET", "/query", q="SELECT COUNT() FROM Contact").body == {
        "totalSize": 12,
        "done": True,
        "records": [],
    }


def test_pages_are_of_the_query_as_it_was(rest: Rest) -> None:
    """A page tells what the query found, whatever has been deleted since; an invented locator is refused."""
    page = call(rest, "GET", "/query", q="SELECT Id FROM Contact").body
    call(rest, "DELETE", "/sobjects/Contact/003000000000006")
    locator = page["nextRecordsUrl"].rpartition("/")[2]
    assert call(rest, "GET", f"/query/{locator}").body["records"][0]["Id"] == "003000000000006"
    assert call(rest, "GET", "/query/01gnone-5").body[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_chosen_fields_of_a_record(rest: Rest) -> None:
    """`fields` narrows what a record tells."""
    told = call(rest, "GET", "/sobjects/Contact/003000000000001", fields="LastName").body
    assert set(told) == {"attributes", "Id", "LastName"}


def test_an_upsert_creates_then_updates(rest: Rest) -> None:
    """The same value in the external id field is the same record."""
    path = "/sobjects/Contact/Email/a@example.com"
    first = call(rest, "PATCH", path, {"LastName": "A"})
    second = call(rest, "PATCH", path, {"LastName": "B"})
    assert (first.status, second.status, first.body["id"]) == (201, 200, second.body["id"])
    assert call(rest, "DELETE", path).status == 204
    assert call(rest, "GET", path).status == 404


def test_a_composite_refers_to_what_came_before(rest: Rest) -> None:
    """Each part is answered like a call of its own, and may use an earlier answer."""
    base = f"/services/data/{V}/sobjects/Contact"
    parts = [
        {"method": "POST", "url": base, "referenceId": "made", "body": {"LastName": "New"}},
        {"method": "GET", "url": base + "/@{made.id}", "referenceId": "read"},
        {"method": "GET", "url": base + "/none", "referenceId": "missing"},
    ]
    told = call(rest, "POST", "/composite", {"compositeRequest": parts}).body["compositeResponse"]
    assert [part["httpStatusCode"] for part in told] == [201, 200, 404]
    assert told[1]["body"]["LastName"] == "New"


def test_a_composite_has_at_most_25_parts(rest: Rest) -> None:
    """More are refused as a whole."""
    parts = [{"method": "GET", "url": f"/services/data/{V}/limits", "referenceId": f"r{n}"} for n in range(26)]
    assert call(rest, "POST", "/composite", {"compositeRequest": parts}).status == 400


def test_a_batch_tells_whether_a_part_failed(rest: Rest) -> None:
    """Each part has its status, and one flag tells of errors."""
    parts = [{"method": "GET", "url": f"{V}/limits"}, {"method": "GET", "url": f"{V}/nowhere"}]
    told = call(rest, "POST", "/composite/batch", {"batchRequests": parts}).body
    assert (told["hasErrors"], [part["statusCode"] for part in told["results"]]) == (True, [200, 404])


def test_several_records_in_one_call(rest: Rest) -> None:
    """Create, update, upsert and delete several; one that fails holds up no other."""
    kind = {"attributes": {"type": "Contact"}}
    records = [{**kind, "LastName": "One"}, {**kind, "FirstName": "None"}]
    made = call(rest, "POST", "/composite/sobjects", {"records": records}).body
    assert [one["success"] for one in made] == [True, False]
    identity = made[0]["id"]
    changed = [{**kind, "id": identity, "LastName": "Two"}, {**kind, "id": "none"}]
    told = call(rest, "PATCH", "/composite/sobjects", {"records": changed}).body
    assert [one["success"] for one in told] == [True, False]
    upserts = {"records": [{**kind, "Email": "e@example.com", "LastName": "E"}]}
    assert call(rest, "PATCH", "/composite/sobjects/Contact/Email", upserts).body[0]["created"] is True
    told = call(rest, "DELETE", "/composite/sobjects", ids=f"{identity},none").body
    assert [one["success"] for one in told] == [True, False]
