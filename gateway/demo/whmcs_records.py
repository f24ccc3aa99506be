"""What the simulated WHMCS keeps: clients, orders, invoices, products and tickets, and the actions on them.

The one idea: an action is a function from a form to the fields of its answer, or raises `BusinessError`, which WHMCS
tells with status 200. Source: the WHMCS developer documentation, "API index".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Record = dict[str, Any]
Form = Mapping[str, Any]

_LISTS: Final = {
    "getclients": ("clients", "client"),
    "getorders": ("orders", "order"),
    "getinvoices": ("invoices", "invoice"),
    "getproducts": ("products", "product"),
    "gettickets": ("tickets", "ticket"),
}
_CLIENT_FIELDS: Final = ("firstname", "lastname", "email", "companyname", "country", "phonenumber")


class BusinessError(Exception):
    """What WHMCS refuses for its own reasons: `{"result": "error"}`, with status 200."""


class Books:
    """The installation's records, and every action on them that the API role allows."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Record]] = {
            "clients": [
                {"id": 1, "firstname": "Ada", "lastname": "Lovelace", "email": "ada@example.com"},
                {"id": 2, "firstname": "Grace", "lastname": "Hopper", "email": "grace@example.com"},
            ],
            "orders": [
                {"id": 11, "userid": 1, "amount": "120.00", "status": "Active"},
                {"id": 12, "userid": 2, "amount": "9.50", "status": "Pending"},
            ],
            "invoices": [{"id": 101, "userid": 1, "total": "120.00", "status": "Paid"}],
            "products": [{"pid": 1, "name": "Hosting", "type": "hostingaccount"}],
            "tickets": [],
        }
        self._numbers = dict.fromkeys(self._rows, 200)
        self._actions: dict[str, Callable[[Form], Record]] = {
            "getclientsdetails": self._client_details,
            "getinvoice": self._invoice,
            "addclient": self._add_client,
            "updateclient": self._update_client,
            "addorder": self._add_order,
            "acceptorder": self._accept_order,
            "createinvoice": self._create_invoice,
            "updateinvoice": self._update_invoice,
            "openticket": self._open_ticket,
            "logactivity": lambda _: {},
        }

    def knows(self, action: str) -> bool:
        """Whether the API role allows an action; its case does not matter."""
        return action.lower() in self._actions or action.lower() in _LISTS

    def act(self, action: str, form: Form) -> Record:
        """Return the fields of an action's answer.

        Raises:
            BusinessError: when it cannot be done.
        """
        name = action.lower()
        return self._page(*_LISTS[name], form) if name in _LISTS else self._actions[name](form)

    def _page(self, plural: str, singular: str, form: Form) -> Record:
        first, size = form.get("limitstart", "0"), form.get("limitnum", "25")
        if not (str(first).isdecimal() and str(size).isdecimal()):
            raise BusinessError("Invalid limitstart or limitnum")
        rows = self._rows[plural]
        chosen = rows[int(first) : int(first) + int(size)]
        return {
            "totalresults": len(rows),
            "startnumber": int(first),
            "numreturned": len(chosen),
            plural: {singular: chosen},
        }

    def _client_details(self, form: Form) -> Record:
        for client in self._rows["clients"]:
            if str(client["id"]) == form.get("clientid") or client["email"] == form.get("email"):
                return {"userid": client["id"], "client": client, **client}
        raise BusinessError("Client Not Found")

    def _add_client(self, form: Form) -> Record:
        if not form.get("email"):
            raise BusinessError("You did not enter your email address")
        if any(client["email"] == form["email"] for client in self._rows["clients"]):
            raise BusinessError("A user already exists with that email address")
        values = {name: form.get(name, "") for name in _CLIENT_FIELDS}
        return {"clientid": self._add("clients", values)}

    def _update_client(self, form: Form) -> Record:
        client = self._one("clients", form, "clientid", "Client ID Not Found")
        client.update({name: form[name] for name in _CLIENT_FIELDS if name in form})
        return {"clientid": client["id"]}

    def _add_order(self, form: Form) -> Record:
        client = self._one("clients", form, "clientid", "Client ID Not Found")
        products = form.get("pid", [])
        products = products if isinstance(products, list) else [products]
        values = {"userid": client["id"], "amount": "0.00", "status": "Pending", "products": products}
        order = self._add("orders", values)
        return {"orderid": order, "productids": ",".join(products), "invoiceid": 0}

    def _accept_order(self, form: Form) -> Record:
        order = self._one("orders", form, "orderid", "Order ID not found or Status not Pending")
        if order["status"] != "Pending":
            raise BusinessError("Order ID not found or Status not Pending")
        order["status"] = "Active"
        return {}

    def _create_invoice(self, form: Form) -> Record:
        client = self._one("clients", form, "userid", "User ID not found")
        amounts = [float(value) for name, value in form.items() if name.startswith("itemamount")]
        values = {"userid": client["id"], "total": f"{sum(amounts):.2f}", "status": "Unpaid"}
        return {"invoiceid": self._add("invoices", values), "status": "Unpaid"}

    def _invoice(self, form: Form) -> Record:
        invoice = self._one("invoices", form, "invoiceid", "Invoice ID Not Found")
        return {"invoiceid": invoice["id"], **invoice}

    def _update_invoice(self, form: Form) -> Record:
        invoice = self._one("invoices", form, "invoiceid", "Invoice ID Not Found")
        invoice["status"] = form.get("status", invoice["status"])
        return {"invoiceid": invoice["id"]}

    def _open_ticket(self, form: Form) -> Record:
        if not form.get("subject"):
            raise BusinessError("Subject is required")
        values = {"subject": form["subject"], "custom": form.get("customfields", []), "status": "Open"}
        number = self._add("tickets", values)
        return {"id": number, "tid": f"{number:06}", "c": "demo"}

    def _add(self, table: str, values: Record) -> int:
        self._numbers[table] += 1
        self._rows[table].append({"id": self._numbers[table], **values})
        return self._numbers[table]

    def _one(self, table: str, form: Form, name: str, missing: str) -> Record:
        for row in self._rows[table]:
            if str(row["id"]) == form.get(name):
                return row
        raise BusinessError(missing)
