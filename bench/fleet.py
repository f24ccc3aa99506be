"""Decisions of the fleet's books a second: through the gateway's client, beside raw EVALSHA of the same script.

The one idea: the same Valkey, the same script, the same replicas with one statement under way each, measured in turn,
round after round, and compared within a round. What is measured has one core, Valkey the other.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from typing import Final

from bench.processes import output, pin
from tests.support.valkey import ValkeyServer

SECONDS: Final = 0.5
ROUNDS: Final = 11
REPLICAS: Final = (1, 4)
FORMS: Final = {
    "raw": "raw EVALSHA on one connection",
    "client": "the same through our Redis client",
    "fleet": "RedisFleet, statement to answer",
    "memory": "the books in memory",
}
_CORES: Final = sorted(os.sched_getaffinity(0))


async def main() -> None:
    """Measure all in turn and print the medians."""
    valkey = ValkeyServer()
    await valkey.start()
    pin(valkey.pid, _CORES[1:2] or _CORES)
    try:
        print(
            f"fleet: decisions (a permit given back, one wanted, a slot); {SECONDS} s each, median of {ROUNDS} rounds"
        )
        for replicas in REPLICAS:
            await _compare(valkey, replicas)
    finally:
        await valkey.stop()


async def _compare(valkey: ValkeyServer, replicas: int) -> None:
    rates: dict[str, list[tuple[float, float]]] = {form: [] for form in FORMS}
    for number in range(ROUNDS + 1):  # the first round warms up
        for form in FORMS:
            valkey.command("FLUSHALL")
            words = ("-m", "bench.fleet_load", form, str(valkey.port), str(SECONDS), str(replicas))
            done = json.loads(await output(sys.executable, *words, cores=_CORES[:1]))
            if number:
                rates[form].append((done["decisions"] / done["wall"], 1e6 * done["cpu"] / done["decisions"]))
    for form, name in FORMS.items():
        rate, micros = (statistics.median(values) for values in zip(*rates[form], strict=True))
        ratio = statistics.median(a / b for (a, _), (b, _) in zip(rates[form], rates["raw"], strict=True))
        print(f"  {replicas} under way  {name:<34} {rate:7.0f}/s  {micros:5.1f} µs CPU each  ÷ raw = {ratio:.2f}")
