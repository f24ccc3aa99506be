"""What a call asks for."""

from __future__ import annotations

import pytest

from gateway.whmcs.call import ActionClass, action_class
from gateway.whmcs.multipart import Multipart
from tests.retry.samples import Pieces
from tests.whmcs.samples import TARGET, call

PARTS = (b'Content-Disposition: form-data; name="action"\r\n\r\nGetOrders',)


@pytest.mark.parametrize(
    ("content", "target", "found"),
    [
        (b"action=GetClients", TARGET, "read"),
        (b"action=getclients&action=+GETORDERS", TARGET, "read"),
        (b"action=AddOrder", TARGET, "write"),
        (b"action=GetClients&action=AddOrder", TARGET, "write"),
        (b"action=AddOrder&act%69on=GetClients", TARGET, "write"),
        (b"action=GetClients", TARGET + b"?action=AddOrder", "write"),
        (b"action[]=GetClients&action=AddOrder", TARGET, "write"),
        (b"action=", TARGET, "write"),
        (b"", TARGET + b"?action=GetClients", "read"),
        (b"reaction=GetClients", TARGET, "other"),
        (b"", TARGET, "other"),
    ],
)
def test_classes(content: bytes, target: bytes, found: ActionClass) -> None:
    """A call reads when all that it names as its action does."""
    assert action_class(call(content, target=target)) == found


def test_other_contents() -> None:
    """A multipart form has an action too; one that cannot be read, or is not in memory, has none."""
    kind = b"multipart/form-data; boundary=b"
    content = Multipart(b"b", PARTS).content()
    assert action_class(call(content, kind=kind)) == "read"
    assert action_class(call(content[:-4], kind=kind)) == "other"
    assert action_class(call(Pieces(content), kind=kind)) == "other"
    assert action_class(call(b'{"action":"GetClients"}', kind=b"application/json")) == "other"
