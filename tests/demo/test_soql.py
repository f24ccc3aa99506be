"""Reading SOQL and answering it."""

from __future__ import annotations

import pytest

from gateway.demo.salesforce_records import Records
from gateway.demo.salesforce_wire import SalesforceError
from gateway.demo.soql import parse

ADA = "003000000000001"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("SELECT Id FROM Contact WHERE LastName = 'Lovelace'", [ADA]),
        ("select id from Contact where lastname='Lovelace' and FirstName = 'Ada' limit 1", [ADA]),
        ("SELECT Id FROM Contact WHERE Name IN ('Ada Lovelace', 'Nobody')", [ADA]),
        ("SELECT Id FROM Contact WHERE Email != null", []),
        ("SELECT Id FROM Contact ORDER BY Name LIMIT 1", [ADA]),
        ("SELECT Id FROM Contact ORDER BY Name DESC LIMIT 1", ["003000000000010"]),
        ("SELECT FIELDS(ALL) FROM Contact LIMIT 1", [ADA]),
        ("SELECT Id FROM Organization WHERE IsSandbox = false", ["00Dsim000000001"]),
        ("SELECT Id FROM Lead", []),
    ],
)
def test_a_query_finds_what_it_asks_for(text: str, ids: list[str]) -> None:
    """Conditions, order and limit hold, in any case of letters."""
    assert [row["Id"] for row in parse(text).run(Records())] == ids


def test_only_the_fields_asked_for_are_told() -> None:
    """A field that a record has not is null; Id is always there."""
    assert parse("SELECT Name, Email FROM Contact LIMIT 1").run(Records()) == [
        {"Id": ADA, "Name": "Ada Lovelace", "Email": None}
    ]


def test_a_quote_in_a_value_is_escaped() -> None:
    """A backslash before a quote makes it part of the value."""
    records = Records()
    records.create("Contact", {"LastName": "O'Neil"})
    assert len(parse(r"SELECT Id FROM Contact WHERE LastName = 'O\'Neil'").run(records)) == 1


@pytest.mark.parametrize(
    "text", ["", "SELECT", "SELECT Id", "SELECT Id FROM Contact WHERE", "SELECT Id FROM Contact WHERE Name LIKE 'A%'"]
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """Nothing is answered that was not asked."""
    with pytest.raises(SalesforceError) as refused:
        parse(text)
    assert refused.value.code == "MALFORMED_QUERY"
