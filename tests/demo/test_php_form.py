"""Reading form fields as PHP does."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.demo import php_form


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("pid[0]", "1"), ("pid[1]", "2")], {"pid": ["1", "2"]}),
        ([("pid[]", "1"), ("pid[]", "2")], {"pid": ["1", "2"]}),
        ([("pid[1]", "1")], {"pid": {"1": "1"}}),
        ([("x[y]", "1"), ("x[z]", "2")], {"x": {"y": "1", "z": "2"}}),
        ([("line[0][text]", "a"), ("line[0][cost]", "1"), ("line[1][text]", "b")],
         {"line": [{"text": "a", "cost": "1"}, {"text": "b"}]}),
        ([("a", "1"), ("a[b]", "2")], {"a": {"b": "2"}}),
        ([("[x]", "1")], {"[x]": "1"}),
        ([("a[b", "1")], {"a[b": "1"}),
    ],
)  # fmt: skip
def test_a_name_is_a_path(fields: list[tuple[str, str]], read: dict[str, Any]) -> None:
    """Brackets nest, numbers from zero make a list, the last value of a name holds, and nonsense stays a name."""
    assert php_form.read(fields) == read
