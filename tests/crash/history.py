"""What the clients of a storm sent and saw, written down as it happened.

The one idea: whether anybody was wronged is judged afterwards, from this record alone, by somebody who took no part. A
token stands in it as a digest, so that a history can be kept and shown.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Operation = Literal["login", "refresh", "replay", "logout", "end-all"]
"""`refresh` is a client with its own current token, `replay` a thief with a spent one."""


@dataclass(frozen=True, slots=True)
class Token:
    """A refresh token in a client's hands, and what it says of itself."""

    text: str = field(repr=False)
    family: str
    generation: int

    @property
    def digest(self) -> str:
        """Stands for the token in a history."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def read_token(text: str) -> Token:
    """Return a token with its family and generation; nothing is verified."""
    payload = text.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return Token(text, claims["fid"], claims["gen"])


@dataclass(frozen=True, slots=True)
class Event:
    """One request and how it ended. Times are monotonic seconds."""

    user: str
    operation: Operation
    sent: float
    answered: float
    """When the answer had been read, or when the client gave up."""
    status: int | None = None
    """None: no answer. The connection broke, or the client hung up."""
    family: str = ""
    """Of the presented token; of a login, of the token it gave."""
    presented: int = 0
    """The presented generation."""
    generation: int = 0
    """The generation that was given."""
    token: str = ""
    """Digest of the refresh token that was given."""


@dataclass(frozen=True, slots=True)
class Forward:
    """One time that a token was brought to the backend. Times are monotonic seconds."""

    token: str
    """Its digest."""
    began: float
    ended: float
    status: int = 0
    """0: whoever brought it was gone before the answer."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A time whose writes the store had acknowledged and then lost; `until` is when the poorer dataset took over."""

    since: float
    until: float


@dataclass
class History:
    """Grows while a storm lasts."""

    events: list[Event] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    forwards: list[Forward] = field(default_factory=list)
    """Where the backend mints."""
    audited: Counter[str] = field(default_factory=Counter)
    """How often which operation had which outcome by the gateways' own trail, such as `refresh healed`."""
    split: frozenset[str] = frozenset()
    """Where the backend mints: users of whom the trail tells that a token was adopted."""

    def counted(self) -> Counter[str]:
        """Return how often which operation ended how, such as `refresh 200`."""
        return Counter(f"{event.operation} {event.status}" for event in self.events)

    def save(self, path: Path) -> None:
        """Write it as JSON lines, in the order of sending."""
        ordered = sorted(self.events, key=lambda event: event.sent)
        lines = [*(json.dumps(asdict(loss)) for loss in self.losses), *(json.dumps(asdict(event)) for event in ordered)]
        lines += [json.dumps(asdict(forward)) for forward in self.forwards]
        path.write_text("\n".join(lines) + "\n")
