"""Rotations without HTTP, in a process of their own: `python -m bench.token_bare FORM REDIS_PORT SECONDS IN_FLIGHT`.

`raw` only runs the script; `bare` verifies the token, runs the script and signs both successors, by the gateway's own
code; `pyjwt` does as `bare` does, by the library that one takes without such code: each on one connection of the
leanest kind. `ledger` does as `bare` does, through the gateway's own Redis client. Prints a `Rate` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import hiredis
import jwt
import uvloop

from bench.token_families import MINT, NOTE, POLICY, SETTINGS, Seat, connect, presented, seats
from gateway.redis_client.scripts import load
from gateway.tokens.claims import Login, RefreshToken
from gateway.tokens.keys import Ring
from gateway.tokens.rotation import Family, Rotated

ROTATE = load("gateway.tokens", "rotate", prelude="families")
ACCESS_TTL = 900


@dataclass(frozen=True, slots=True)
class Rate:
    """What was done, and what it took of the process that did it."""

    rotations: int
    wall: float
    cpu: float


class Raw:
    """A family whose tokens nobody mints: only its generation is counted."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._generation = 1

    def command(self) -> tuple[Any, ...]:
        """Return the next script call."""
        return _rotate(self._seat.user, presented(self._seat, self._generation))

    def answered(self, reply: list[Any]) -> None:
        """Take the reply in."""
        if reply[0] != b"rotated":
            raise RuntimeError(f"unexpected verdict: {reply[0]!r}")
        self._generation = reply[2]


class Bare:
    """A family whose token is verified before and minted after each call."""

    def __init__(self, seat: Seat) -> None:
        self._token = seat.token
        self._login = Login("")
        self._family = ""

    def command(self) -> tuple[Any, ...]:
        token = self.read(self._token)
        self._login, self._family = token.login, token.family
        return _rotate(token.login.user, token)

    def answered(self, reply: list[Any]) -> None:
        verdict, now, generation, key_id, rotated, auth_time, expires = reply[:7]
        if verdict != b"rotated":
            raise RuntimeError(f"unexpected verdict: {verdict!r}")
        record = Family(generation, key_id.decode(), rotated, auth_time, expires)
        self._token = self.sign(self._login, self._family, record, now)

    def read(self, text: str) -> RefreshToken:
        return MINT.read(text)

    def sign(self, login: Login, family: str, record: Family, now: int) -> str:
        return sign(login, family, record, now)


class Library(Bare):
    """The same family, its tokens verified and minted by PyJWT."""

    _SECRET = Ring.of(SETTINGS).refresh[0]
    _KEY = SETTINGS.keys[0]
    _AUDIENCE = f"{SETTINGS.issuer}/refresh"
    _REQUIRED = ("iss", "aud", "sub", "fid", "gen", "auth_time", "iat", "exp", "jti")

    def read(self, text: str) -> RefreshToken:
        options: Any = {"require": self._REQUIRED, "strict_aud": True}
        told = jwt.decode(
            text, self._SECRET.signing, ["HS256"], options, audience=self._AUDIENCE, issuer=SETTINGS.issuer
        )
        login, times = Login(told["sub"], told["claims"]), (told["auth_time"], told["iat"], told["exp"])
        return RefreshToken(login, told["fid"], told["gen"], *times, degraded=False)

    def sign(self, login: Login, family: str, record: Family, now: int) -> str:
        iat, jti = now // 1000, secrets.token_urlsafe(16)
        whom = {"iss": SETTINGS.issuer, "sub": login.user, "iat": iat, "jti": jti}
        access = {**login.claims, **whom, "aud": SETTINGS.audience, "exp": iat + ACCESS_TTL, "sid": family}
        assert self._KEY.secret is not None
        jwt.encode(access, self._KEY.secret.get_secret_value(), "HS256", {"typ": "at+jwt", "kid": self._KEY.kid})
        times = {"auth_time": record.auth_time, "exp": record.expires}
        refresh = {**whom, "aud": self._AUDIENCE, "fid": family, "gen": record.generation, **times}
        headers = {"typ": "rt+jwt", "kid": self._SECRET.kid}
        return jwt.encode({**refresh, "claims": login.claims}, self._SECRET.signing, "HS256", headers)


def sign(login: Login, family: str, record: Family, now: int) -> str:
    """Mint both successors; return the refresh token."""
    MINT.access(login, now // 1000, now // 1000 + ACCESS_TTL, family=family)
    return MINT.refresh(login, family, record)


def _rotate(user: str, token: Any) -> tuple[Any, ...]:
    policy = POLICY
    return (
        b"EVALSHA", ROTATE.sha, 1, f"gw:t:{{{user}}}", token.family, token.generation, token.auth_time,
        token.issued_at, token.expires, 0, NOTE, MINT.key_id, policy.refresh_ttl, policy.session_ttl, policy.grace_ms,
        policy.max_families, 0, "", 0, 0,
    )  # fmt: skip


class _Connection(asyncio.Protocol):
    """Keeps one call of each family in flight until the time is over."""

    def __init__(self, families: list[Any], until: float, done: asyncio.Future[None]) -> None:
        self._families = families
        self._until = until
        self._done = done
        self._reader = hiredis.Reader()
        self._waiting: deque[Any] = deque()
        self.rotations = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]
        for family in self._families:
            self._ask(family)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        over = time.perf_counter() >= self._until
        try:
            while (reply := self._reader.gets()) is not False:
                family = self._waiting.popleft()
                family.answered(reply)
                self.rotations += 1
                if not over:
                    self._ask(family)
        except Exception as error:
            self._done.set_exception(error)
        if not self._waiting and not self._done.done():
            self._done.set_result(None)

    def _ask(self, family: Any) -> None:
        self._write(hiredis.pack_command(family.command()))
        self._waiting.append(family)


async def _on_one_connection(families: list[Any], port: int, seconds: float) -> int:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    until = time.perf_counter() + seconds
    transport, connection = await loop.create_connection(lambda: _Connection(families, until, done), "127.0.0.1", port)
    await done
    transport.close()
    return connection.rotations


async def _through_the_ledger(port: int, seconds: float, held: list[Seat]) -> int:
    client, ledger = connect(port)
    until = time.perf_counter() + seconds

    async def turn(seat: Seat) -> int:
        text, rotations = seat.token, 0
        while time.perf_counter() < until:
            token = MINT.read(text)
            verdict = await ledger.refresh(token.login.user, presented(token, token.generation), MINT.key_id)
            if not isinstance(verdict.result, Rotated):
                raise RuntimeError(f"unexpected verdict: {type(verdict.result).__name__}")
            text = sign(token.login, token.family, verdict.result.family, verdict.now)
            rotations += 1
        return rotations

    rotations = sum(await asyncio.gather(*map(turn, held)))
    await client.aclose()
    return rotations


async def measure(form: str, port: int, seconds: float, in_flight: int) -> Rate:
    """Rotate for so long, so many families at once."""
    held = await seats(port, in_flight)
    wall, cpu = time.perf_counter(), time.process_time()
    if form == "ledger":
        rotations = await _through_the_ledger(port, seconds, held)
    else:
        kind = {"raw": Raw, "bare": Bare, "pyjwt": Library}[form]
        rotations = await _on_one_connection([kind(seat) for seat in held], port, seconds)
    return Rate(rotations, time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        numbers = (int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
        print(json.dumps(asdict(runner.run(measure(sys.argv[1], *numbers)))))
