"""What `mode: guard` makes of other keys of the `tokens:` section.

The one idea: where the backend mints, what concerns minting has no effect, and an operator who set it should know.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked


def check_guard(config: Checked[FileSettings]) -> Iterator[Problem]:
    """Yield a warning when claims are asked for that nobody puts into a token."""
    tokens, path = config.settings.tokens, ("tokens", "claims_from")
    if config.sound(path, ("tokens", "mode")) and tokens.mode == "guard" and tokens.claims_from is not None:
        yield config.document.problem(path, "has no effect with tokens.mode: guard, where the backend mints", "warning")
