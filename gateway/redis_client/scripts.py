"""Lua scripts: their source lies beside the room that decides by them, and Redis knows them by their digest.

The one idea: a script is sent by its digest (EVALSHA) and only in full when Redis does not know it, so nothing has to
be loaded beforehand and a restarted or flushed Redis needs no special case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script. It must be safe to run twice with the same arguments: a lost reply is asked for again.

    Attributes:
        name: how metrics and errors call it.
        source: the Lua text.
        sha: SHA-1 of the source in hexadecimal, Redis's name for it.
    """

    name: str
    source: str = field(repr=False)
    sha: str


def load(package: str, name: str, *, prelude: str | None = None) -> Script:
    """Return the script that lies as `NAME.lua` in a package, such as `load("gateway.tokens", "rotate")`.

    `prelude` names another file of the package that is put in front of it: what several scripts share.

    Raises:
        FileNotFoundError: when there is none.
    """
    folder = resources.files(package)
    source = "".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in (prelude, name) if part)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
