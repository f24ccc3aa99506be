"""What a queued call costs: the throttle's, beside the queues that others use, with few and with many waiting.

The one idea: for all of them the same work, 15 at a time: so many calls that do nothing are put in line, and only when
all stand there the first is let go; the CPU time of the whole, by the number of calls. Each measurement has a process
and a core of its own. Ours runs as the product does, garbage collector and all.

p-queue and Bottleneck are measured where they are installed:

    npm install --prefix .venv/npm p-queue@9 bottleneck@2
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from pathlib import Path
from typing import Final

from bench.processes import output

ROUNDS: Final = 3
FEW: Final = 1_000
MANY: Final = 200_000
_CORE: Final = sorted(os.sched_getaffinity(0))[-1:]
_NPM: Final = Path(__file__).parents[1] / ".venv" / "npm"
_PEERS: Final = Path(__file__).with_name("throttle_peers.mjs")

PYTHON: Final = {
    "gateway": "throttle of the gateway",
    "plain": "the same, Python's own collector settings",
    "semaphore": "semaphore + aiolimiter",
    "tasks": "nothing but a task and a future each",
}
NODE: Final = {
    "p-queue": ("p-queue", MANY),
    "p-queue-interval": ("p-queue, with an interval", MANY),
    "p-queue-strict": ("p-queue, strict", MANY),
    "bottleneck": ("Bottleneck", 4_000),  # grows with its length: 200,000 would take minutes
}


async def main() -> None:
    """Measure all in turn, round after round, and print the medians."""
    commands: dict[str, tuple[list[str], int]] = {
        name: ([sys.executable, "-m", "bench.throttle_calls", form], MANY) for form, name in PYTHON.items()
    }
    node = shutil.which("node")
    for form, (name, many) in NODE.items():
        package = form if form == "bottleneck" else "p-queue"
        if node is not None and (_NPM / "node_modules" / package).is_dir():
            commands[name] = ([node, str(_PEERS), str(_NPM), form], many)
        else:
            print(f"  {name}: skipped, it is not installed (npm install --prefix .venv/npm p-queue@9 bottleneck@2)")
    costs: dict[str, dict[int, list[float]]] = {name: {FEW: [], many: []} for name, (_, many) in commands.items()}
    for _ in range(ROUNDS):
        for name, (command, many) in commands.items():
            for waiting in (FEW, many):
                costs[name][waiting].append(json.loads(await output(*command, str(waiting), cores=_CORE)))
    print(f"throttle: µs of CPU a queued call, 15 at a time, one core, median of {ROUNDS} rounds")
    for name, by_waiting in costs.items():
        few, many = (statistics.median(values) for values in by_waiting.values())
        print(f"  {name:<42} {few:8.2f} with {FEW:,} waiting, {many:8.2f} with {max(by_waiting):,}: × {many / few:.2f}")
    sizes = [
        json.loads(await output(sys.executable, "-m", "bench.throttle_calls", "memory", str(n))) for n in (FEW, MANY)
    ]
    print(f"  memory of the throttle a waiting call: {sizes[0]:.0f} bytes with {FEW:,}, {sizes[1]:.0f} with {MANY:,}")
