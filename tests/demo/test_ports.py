"""The demo's choice of ports."""

from __future__ import annotations

import socket
from dataclasses import astuple

from gateway.demo.ports import HOST, Ports


def test_a_port_that_is_taken_is_replaced() -> None:
    """Somebody else's port is left alone, and every chosen port is free and differs from the others."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        chosen = astuple(Ports(port, port, port, 0, 0, 0, 0).free())
    assert port not in chosen
    assert len(set(chosen)) == len(chosen)
    assert 0 not in chosen


def test_a_free_port_is_kept() -> None:
    """A preferred port that is free is the one."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    assert Ports(port, 0, 0, 0, 0, 0, 0).free().ingress == port


def test_the_same_preference_twice_is_given_once() -> None:
    """Two listeners never share a port, even where the same was wished for."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    chosen = Ports(port, port, 0, 0, 0, 0, 0).free()
    assert chosen.ingress == port
    assert chosen.admin != port
