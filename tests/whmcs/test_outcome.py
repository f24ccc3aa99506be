"""What an answer means, whatever its status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Failure
from gateway.whmcs.outcome import decided, failure

XML = b'<?xml version="1.0" encoding="utf-8"?>\n<whmcsapi version="8">\n<action>x</action>\n<result>%s</result>'


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b'{"result":"success","totalresults":2}', ""),
        (b'{"result":"success","note":{"result":"error"}}', ""),
        (b'{"result":"success","note":"<result>error</result>', ""),
        (b'{"message":"x","result":"error"}', "error"),
        (b' {"result" : "error", "message":"Client Not Found"}', "error"),
        (b'{"result":"error","message":["odd"]}', "error"),
        (b'{"result":"error"}', "error"),
        (b'{"result":"error","message":"Client Not Fou', "error"),
        (b'{"result":"error","message":"Invalid IP 1.2.3.4"}', "refused"),
        (b'{"result":"error","message":"Invalid IP 1.2.3.4","more":"cut o', "refused"),
        (b'{"result":"error","message":"Invalid Permissions: API action \\"x\\" is not allowed"}', "refused"),
        (b'{"result":"error","message":"Authentication Failed"}', "unauthenticated"),
        (b'{"result":"error","message":"Invalid or missing credentials"}', "unauthenticated"),
        (b'{"message":"Rate Limit Exceeded"}', ""),
        (XML % b"success", ""),
        (XML % b"error" + b"\n<message>Authentication Failed</message>", "unauthenticated"),
        (b"<html><result>error</result>", ""),
        (b"[" * 4096, ""),
        (b"", ""),
    ],
)
def test_failures(start: bytes, found: Failure) -> None:
    """`result` at the top of the answer is the outcome; the message says of which kind an error is."""
    assert failure(start) == found


@pytest.mark.parametrize(
    ("start", "status", "found"),
    [
        (b'{"message":"Invalid or missing credentials"}', 403, "unauthenticated"),
        (b'{"message":"Invalid IP 1.2.3.4"}', 403, "refused"),
        (b"result=error;message=Authentication Failed;", 200, "unauthenticated"),
        (b"result=error;message=Client Not Found;", 200, "error"),
        (b'<br />\n<b>Warning</b>: x\n{"result":"error","message":"Authentication Failed"}', 200, "unauthenticated"),
        (b'{"result":"success","note":"Authentication Failed"}', 200, ""),
        (b'{"result":"success","note":"Authentication Failed', 200, ""),
        (b"<html>forbidden</html>", 403, ""),
    ],
)
def test_refusals_that_tell_no_result(start: bytes, status: int, found: str) -> None:
    """Where no `result` can be read, the words of a refusal are looked for; where one is, nothing else counts."""
    assert failure(start, status) == found


@pytest.mark.parametrize(
    ("start", "enough"),
    [
        (b"", False),
        (b" ", False),
        (b'{"result":"succ', False),
        (b'{"result":"success"', True),
        (b'{"result":"error"', False),
        (XML % b"success", True),
        (b"plain", True),
    ],
)
def test_how_much_is_enough(start: bytes, enough: bool) -> None:
    """A success is known by its first bytes; an error is waited for, for its message."""
    assert decided(start) is enough


@given(st.binary())
def test_any_content(start: bytes) -> None:
    """Nothing that a server sends raises."""
    assert isinstance(decided(start), bool)
    assert isinstance(failure(start), str)
