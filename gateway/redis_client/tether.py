"""Runs a program that does not outlive its parent: `python tether.py PARENT PROGRAM ARGUMENTS...`.

The one idea: the process asks the kernel to be killed when its parent dies and then becomes the program, so nothing of
Python stays in memory and even a parent that is killed with SIGKILL leaves nobody behind. That is Linux only
(prctl(2), PR_SET_PDEATHSIG); elsewhere the program is run just the same. It stands alone and imports little, since it
is started by its path with an isolated interpreter.
"""

import contextlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, program: str, *arguments: str) -> None:
    """Become `program`; end at once when `parent` is gone already."""
    if sys.platform == "linux":
        with contextlib.suppress(
            ImportError, OSError, AttributeError
        ):  # an interpreter without ctypes, or another libc
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    os.execv(program, [program, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
