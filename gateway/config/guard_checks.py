"""What `mode: guard` makes of other keys of the `tokens:` section.

The one idea: where the backend mints, what concerns minting has no effect, and an operator who set it should know.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import KeyPath
from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked


def is_one_endpoint(config: Checked[FileSettings], one: KeyPath, other: KeyPath) -> bool:
    """Tell whether two token routes may be the same: login and refresh of an OAuth server, which the grant tells apart.

    Only where the backend mints: the gateway itself knows no other grant than the refresh.
    """
    tokens = config.settings.tokens
    if not config.sound(("tokens", "mode"), ("tokens", "dialect")):
        return False
    return {one[2], other[2]} == {"login", "refresh"} and (tokens.mode, tokens.dialect) == ("guard", "oauth2")


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
