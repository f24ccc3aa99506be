"""Writes the demo's configuration: the same files an operator would write, in a folder of its own.

The one idea: the demo runs on nothing special. What an operator sets by the documented environment variables holds
here too, since a key that these files leave out falls back on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.demo.ports import HOST, Ports

KEY_VARIABLE: Final = "GATEWAY_DEMO_TOKEN_KEY"
"""The environment variable that the files expect the key of the access tokens in; it is never written down."""

_WHMCS_CAP: Final = "WHMCS_QUEUE_INTERVAL_CAP"

_CONFIG: Final = """\
ingress:
  listen: {host}:{ports.ingress}
  backend: {backend}
admin:
  listen: {host}:{ports.admin}
redis:
  url: embedded
  allow_embedded: true
tokens:
  enabled: true
  carrier: json
  keys:
    - kid: demo
      alg: HS256
      secret: ${{{key}}}
policies: policies
shutdown:
  wait: 0s
  timeout: 1s
log:
  level: warning
  format: console
"""

_WHMCS: Final = """\
upstream: whmcs
listen: {host}:{ports.whmcs_egress}
base_url: http://{host}:{ports.whmcs}
rate:
  cap: {cap}
  per: {per}
lanes:
  - name: default
    concurrency: ${{WHMCS_QUEUE_CONCURRENCY:-15}}
    timeout: ${{WHMCS_QUEUE_TIMEOUT_MS:-30000}}ms
"""

_SALESFORCE: Final = """\
upstream: salesforce
listen: {host}:{ports.salesforce_egress}
base_url: http://{host}:{ports.salesforce}
rate:
  cap: ${{SF_QUEUE_INTERVAL_CAP:-600}}
  per: 60s
lanes:
  - name: long_running
    match:
      - path: /services/data/*/jobs/**
      - path: /services/async/**
      - header: {{X-Gateway-Lane: long_running}}
    concurrency: ${{SF_QUEUE_LONG_RUNNING_CONCURRENCY:-22}}
    timeout: ${{SF_QUEUE_LONG_RUNNING_TIMEOUT_MS:-600000}}ms
  - name: default
    concurrency: ${{SF_QUEUE_CONCURRENCY:-15}}
    timeout: ${{SF_QUEUE_TIMEOUT_MS:-30000}}ms
"""


def write(folder: Path, ports: Ports, backend: str, environ: Mapping[str, str]) -> Path:
    """Write `config.yaml` and `policies/` into `folder`; returns the path of the former.

    The interval limit of WHMCS is small, so that a newcomer sees calls wait within seconds, unless the operator's
    variable sets it, which counts calls a minute.
    """
    cap, per = (f"${{{_WHMCS_CAP}}}", "60s") if environ.get(_WHMCS_CAP) else ("10", "5s")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "whmcs.yaml").write_text(_WHMCS.format(host=HOST, ports=ports, cap=cap, per=per), "utf-8")
    (policies / "salesforce.yaml").write_text(_SALESFORCE.format(host=HOST, ports=ports), "utf-8")
    config = folder / "config.yaml"
    config.write_text(_CONFIG.format(host=HOST, ports=ports, backend=_scalar(backend), key=KEY_VARIABLE), "utf-8")
    return config


def _scalar(text: str) -> str:
    """Return `text` as one YAML scalar, so that no address given by hand adds a key (single quotes, YAML 1.2 7.3.2)."""
    return "'" + text.replace("'", "''").replace("\n", " ").replace("${", "$${") + "'"
