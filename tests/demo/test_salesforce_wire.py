"""How the simulated Salesforce words its answers."""

from __future__ import annotations

import json

import pytest

from gateway.demo import salesforce_wire


@pytest.mark.parametrize("status", [400, 404])
def test_a_raised_refusal_reads_like_a_returned_one(status: int) -> None:
    """Both forms of an error have the same status, type and body."""
    returned = salesforce_wire.error(status, "CODE", "text")
    raised = salesforce_wire.refuse(status, "CODE", "text")
    assert (raised.status, raised.content_type) == (returned.status, returned.content_type)
    assert json.loads(str(raised.text)) == json.loads(str(returned.text))


def test_xml_names_its_encoding() -> None:
    """An XML answer is text/xml in UTF-8."""
    assert salesforce_wire.xml("<é/>", status=500).headers["Content-Type"] == "text/xml; charset=utf-8"
