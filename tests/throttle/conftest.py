"""Both forms of the fleet's books, and replicas that speak to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.valkey import ValkeyServer
from tests.throttle.books_support import BLANK, Form, InRedis, Join, Memory, Voice


@pytest.fixture(params=["memory", "redis"])
def form(request: pytest.FixtureRequest, shared_valkey: ValkeyServer) -> Iterator[Form]:
    """Give the memory form, then the Redis form, at `START`."""
    form: Form = Memory() if request.param == "memory" else InRedis(shared_valkey)
    yield form
    form.close()


@pytest.fixture
def voice(form: Form) -> Join:
    """Return what makes a replica that has said nothing yet."""
    return lambda replica: Voice(form, replace(BLANK, replica=replica, number=0))
