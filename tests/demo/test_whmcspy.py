"""whmcspy, unmodified, straight against the simulated WHMCS."""

from __future__ import annotations

import asyncio

import pytest
from whmcspy import WHMCS as Client
from whmcspy.exceptions import Error, MissingPermission

from gateway.demo.accounts import WHMCS
from gateway.demo.services import Services
from gateway.demo.whmcs import ENDPOINT


async def test_read_write_error_and_wrong_address(services: Services) -> None:
    """It reads, writes with a nested field, and tells an error of the business from a refusal."""
    client = Client(services.addresses["whmcs"] + ENDPOINT, WHMCS.identifier, WHMCS.secret)

    def talk() -> None:
        assert client.call("GetClients")["totalresults"] == 2
        assert client.call("AddOrder", clientid=1, pid=[1, 2])["productids"] == "1,2"
        with pytest.raises(Error, match="Client Not Found"):
            client.call("GetClientsDetails", clientid=99)
        services.whmcs.behaviour.allow_ip = False
        with pytest.raises(MissingPermission, match=r"Invalid IP 127\.0\.0\.1"):
            client.call("GetClients")

    await asyncio.to_thread(talk)
