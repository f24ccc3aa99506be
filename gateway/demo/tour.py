"""The tour: where everything is, and five lines to paste that show the gateway's jobs.

The one idea: each line is complete by itself, needs nothing but curl and a shell, and prints something worth reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TextIO
from urllib.parse import urlencode

from gateway.demo.accounts import ACCOUNTS, PASSWORD, WHMCS
from gateway.demo.whmcs import ENDPOINT

_JSON: Final = "-H 'Content-Type: application/json'"
_METRICS: Final = "redis_up|maintenance_active|token_operations_total|throttle_calls_total"
_PARALLEL: Final = 50  # as many as curl has under way at once
_ORDERS: Final = urlencode({"identifier": WHMCS.identifier, "secret": WHMCS.secret, "action": "GetOrders"})


@dataclass(frozen=True, slots=True)
class Places:
    """Base URLs of everything that runs."""

    ingress: str
    admin: str
    whmcs_egress: str
    salesforce_egress: str
    backend: str
    whmcs: str
    salesforce: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What is shown: the addresses, the limit that line 4 meets, whose backend it is, and the state at start."""

    places: Places
    calls: int
    per: float
    own_backend: bool = False
    maintenance: bool = False


def tour(scene: Scene, *, color: bool) -> str:
    """Return the tour's text, at most thirty lines."""
    strong, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if color else ("", "", "")
    at = scene.places
    whose = "your service" if scene.own_backend else "demo backend"
    lines = [
        "",
        f"{strong}The gateway is running.{plain} Ctrl-C stops it and everything that came with it.",
        "",
        f"  clients ──▶ {at.ingress} ──▶ {at.backend}  ({whose})",
        f"  WHMCS ({at.whmcs}, simulated) ◀── {at.whmcs_egress} ◀── {whose}",
        f"  Salesforce ({at.salesforce}, simulated) ◀── {at.salesforce_egress} ◀── {whose}",
        f"  metrics and probes: {at.admin}",
        "",
        "Paste these into a second terminal, one at a time:",
        "",
    ]
    for number, (what, command) in enumerate(_steps(scene), 1):
        lines += [f"{strong}{number}. {what}{plain}", command, ""]
    lines += [*(f"{dim}{line}{plain}" for line in _maintenance(scene)), ""]
    return "\n".join(lines)


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour what is written to `stream`: only for a person, and not against https://no-color.org."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _steps(scene: Scene) -> list[tuple[str, str]]:
    at, email, password = scene.places, ACCOUNTS[0].email, PASSWORD
    if scene.own_backend:
        email, password = "YOU@EXAMPLE.COM", "YOUR-PASSWORD"
    log_in = f"""{_JSON} -d '{{"email":"{email}","password":"{password}"}}' {at.ingress}/api/auth/login"""
    refresh = f'curl -sw "\\n" {_JSON} -d "$(curl -s {log_in})" {at.ingress}/api/auth/refresh'
    bearer = f"""$(curl -s {log_in} | sed 's/.*"accessToken": *"//;s/".*//')"""
    metrics = f"curl -s {at.admin}/metrics | grep -E '^gateway_({_METRICS})' | grep -v ' 0.0$'"
    through = f"""curl -sw "\\n" -H "Authorization: Bearer {bearer}" {at.ingress}/api/profile"""
    login_says = "Log in: the backend checks the password, the gateway adds a pair of tokens"
    through_says = "Call the backend with the access token: it tells what reached it"
    if scene.own_backend:
        login_says = "Log in, with a body your service takes: an answer that holds /user/id gets a pair of tokens"
        through, through_says = f"curl -si {at.ingress}/", "Call your service: nothing else is changed on the way"
    return [
        (login_says, f'curl -sw "\\n" {log_in}'),
        ("Refresh: the whole login answer goes in, a new pair comes out", refresh),
        (through_says, through),
        _throttle(scene),
        ("Look at the metrics that are not zero: Redis, tokens, and what the vendors were sent", metrics),
    ]


def _throttle(scene: Scene) -> tuple[str, str]:
    at = scene.places
    count = min(scene.calls + 5, _PARALLEL)
    target = f"'{at.ingress}/api/orders?n=[1-{count}]'"
    if scene.own_backend:
        target = f"-d '{_ORDERS}' '{at.whmcs_egress}{ENDPOINT}?n=[1-{count}]'"
    return (
        f"Throttle: {count} calls at once; WHMCS sees at most {scene.calls} in any {scene.per:g} s, the rest wait",
        f"curl -Z --no-progress-meter -o /dev/null -w '%{{http_code}} after %{{time_total}} s\\n' {target};"
        f" curl -sw '\\n' '{at.whmcs}/_simulator/report?window={scene.per:g}'",
    )


def _maintenance(scene: Scene) -> list[str]:
    if scene.maintenance:
        return [
            "Maintenance is on: lines 1 and 2 are answered 503 with the message. Unset AUTH_MAINTENANCE_MODE to end it."
        ]
    again = "AUTH_MAINTENANCE_MODE=true make run" + (f" BACKEND={scene.places.backend}" if scene.own_backend else "")
    return [f"The maintenance answer: stop, start again with  {again}  and repeat line 1."]
