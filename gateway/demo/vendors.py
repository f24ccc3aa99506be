"""The demo backend's calls to WHMCS and Salesforce, as any backend makes them: with its own credentials.

The one idea: nothing here throttles, waits or retries for a limit. The addresses it is given are the gateway's egress
listeners, and that is all it takes.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import ClientSession

from gateway.demo.accounts import SALESFORCE, WHMCS

_QUERY: Final = "/services/data/v62.0/query"


class VendorError(Exception):
    """A vendor, or the gateway in its place, did not do what was asked.

    Attributes:
        status: what the backend's own client is told: 503 where the gateway had no turn for the call, else 502.
        retry_after: the `Retry-After` that came with it, or empty.
    """

    def __init__(self, status: int, retry_after: str = "") -> None:
        super().__init__(f"status {status}")
        self.status = 503 if status == 503 else 502
        self.retry_after = retry_after


class VendorCalls:
    """Calls through `session`, to WHMCS at `whmcs` and to Salesforce at `salesforce` (base URLs)."""

    def __init__(self, session: ClientSession, whmcs: str, salesforce: str) -> None:
        self._session = session
        self._whmcs = whmcs
        self._salesforce = salesforce
        self._access_token = ""

    async def orders(self) -> list[dict[str, Any]]:
        """Return the orders that WHMCS knows.

        Raises:
            VendorError: when it did not tell them; also for its errors with HTTP status 200.
        """
        form = {
            "identifier": WHMCS.identifier,
            "secret": WHMCS.secret,
            "action": "GetOrders",
            "responsetype": "json",
        }
        async with self._session.post(f"{self._whmcs}/includes/api.php", data=form) as response:
            if response.status != 200:
                raise VendorError(response.status, response.headers.get("Retry-After", ""))
            answer = await response.json(content_type=None)
        if answer.get("result") != "success":
            raise VendorError(502)
        orders: list[dict[str, Any]] = answer["orders"]["order"]
        return orders

    async def contacts(self) -> list[str]:
        """Return the names of Salesforce's contacts, page by page.

        Raises:
            VendorError: when it did not tell them.
        """
        names: list[str] = []
        page = await self._get(_QUERY, {"q": "SELECT Id, Name FROM Contact"})
        names.extend(record["Name"] for record in page["records"])
        while not page["done"]:
            page = await self._get(page["nextRecordsUrl"], {})
            names.extend(record["Name"] for record in page["records"])
        return names

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        page = await self._ask(path, query) if self._access_token else None
        if page is None:
            await self._log_in()
            page = await self._ask(path, query)
        if page is None:
            raise VendorError(401)
        return page

    async def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        """Return the answer, or None when the session has ended."""
        bearer = {"Authorization": f"Bearer {self._access_token}"}
        async with self._session.get(f"{self._salesforce}{path}", params=query, headers=bearer) as response:
            if response.status == 401:
                return None
            if response.status != 200:
                raise VendorError(response.status, response.headers.get("Retry-After", ""))
            page: dict[str, Any] = await response.json(content_type=None)
        return page

    async def _log_in(self) -> None:
        form = {
            "grant_type": "password",
            "client_id": SALESFORCE.client_id,
            "client_secret": SALESFORCE.client_secret,
            "username": SALESFORCE.username,
            "password": SALESFORCE.password,
        }
        async with self._session.post(f"{self._salesforce}/services/oauth2/token", data=form) as response:
            if response.status != 200:
                raise VendorError(response.status, response.headers.get("Retry-After", ""))
            self._access_token = (await response.json(content_type=None))["access_token"]
