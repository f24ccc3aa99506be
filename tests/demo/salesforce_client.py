"""Logging in to the simulated Salesforce."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce import TOKEN_ENDPOINT
from gateway.demo.services import Services

CLIENT = {"client_id": SALESFORCE.client_id, "client_secret": SALESFORCE.client_secret}
PASSWORD = {**CLIENT, "grant_type": "password", "username": SALESFORCE.username, "password": SALESFORCE.password}


async def log_in(client: ClientSession, services: Services, form: dict[str, str], **more: Any) -> tuple[int, Any]:
    """Return status and answer of the token endpoint."""
    async with client.post(services.addresses["salesforce"] + TOKEN_ENDPOINT, data=form, **more) as response:
        return response.status, await response.json()
