"""What `mode: guard` makes of other keys of the `tokens:` section.

The one idea: where the backend mints, what concerns minting has no effect, and an operator who set it should know.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked


def check_guard(config: Checked[FileSettings]) -> Iterator[Problem]:
    """Yield a warning for each key that is set and does nothing."""
    tokens = config.settings.tokens
    if not config.sound(("tokens", "mode")) or tokens.mode != "guard":
        return
    idle = {
        ("tokens", "claims_from"): tokens.claims_from,
        ("tokens", "routes", "sessions"): tokens.routes.sessions,
    }
    for path, value in idle.items():
        if value is not None and config.sound(path):
            text = "has no effect with tokens.mode: guard, where the backend mints"
            yield config.document.problem(path, text, "warning")
