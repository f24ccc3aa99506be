"""How the simulated Salesforce reads and writes JSON, CSV and XML."""

from __future__ import annotations

import pytest

from gateway.demo import salesforce_wire as wire


@pytest.mark.parametrize("body", [b"", b"[1]", b"{"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """Anything but a JSON object is a JSON_PARSER_ERROR."""
    with pytest.raises(wire.SalesforceError) as refused:
        wire.read_json(body)
    assert refused.value.told()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_an_element_is_found_whatever_its_prefix() -> None:
    """Clients spell prefixes differently, some with a hyphen; entities become characters."""
    text = "<soap-env:Body><ns0:name a='b'>x &amp; y</ns0:name><name><inner>z</inner></name></soap-env:Body>"
    assert wire.elements(text, "name") == ["x & y", "<inner>z</inner>"]
    assert wire.element(text, "inner") == "z"
    assert wire.element(text, "missing") == ""


def test_a_tag_nests_repeats_and_escapes() -> None:
    """A mapping is nested, a list repeated, None left out, and a start tag's attributes are not in its end tag."""
    told = wire.tag('a b="c"', {"x": ["<", True], "none": None})
    assert told == '<a b="c"><x>&lt;</x><x>true</x></a>'


def test_csv_comes_back_as_it_went() -> None:
    """Quotes and line ends in a value survive; Salesforce's null is None."""
    text = wire.write_csv(["A", "B"], [{"A": 'say "x"\n', "B": None, "C": 1}])
    assert wire.read_csv(text) == [{"A": 'say "x"\n', "B": ""}]
    assert wire.read_csv("A;B\n1;#N/A\n", ";") == [{"A": "1", "B": None}]
