"""Run every benchmark, or those that are named."""

from __future__ import annotations

import asyncio
import sys

from bench import fleet, proxy, throttle, tokens

BENCHES = {"proxy": proxy.main, "tokens": tokens.main, "throttle": throttle.main, "fleet": fleet.main}


def main(names: list[str]) -> int:
    """Run benchmarks by name, all without one."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        asyncio.run(BENCHES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
