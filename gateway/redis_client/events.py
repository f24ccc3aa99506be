"""What the Redis client and the embedded server report."""

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class CommandFinished(Event):
    """A command or script was answered. `command` is the command's or script's name, never a key."""

    command: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CommandFailed(Event):
    """A command was not answered, or with an error. `kind` as in `StoreUnavailable`."""

    command: str
    kind: str


@dataclass(frozen=True, slots=True)
class EmbeddedExited(Event):
    """The embedded server ended by itself and is started again."""

    returncode: int


@dataclass(frozen=True, slots=True)
class KeysMayBeEvicted(Event):
    """Redis drops keys with a life of their own when its memory is full: sessions among them. Told once."""

    policy: str


@dataclass(frozen=True, slots=True)
class EvictionUnknown(Event):
    """Redis does not tell what it does when its memory is full. `kind` as in `StoreUnavailable`."""

    kind: str
