"""What login, refresh and logout share: reading what is presented, making pairs, refusing, and the audit trail.

The one idea: a client hears one public text whatever was wrong with its token; which it was stands in the trail.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Headers
from gateway.tokens.abuse import FailedAttempts
from gateway.tokens.carrier import carrier_of, refuse_query
from gateway.tokens.claims import InvalidToken, Login, MalformedToken, Mint, RefreshToken
from gateway.tokens.client import Client, client_of
from gateway.tokens.dialect import Operation, Pair, dialect_of, malformed
from gateway.tokens.events import AttemptFailed, Audit, ExcessFamiliesCleaned, TokenOperation, audit_of
from gateway.tokens.keys import Keys
from gateway.tokens.ledger import Available, Ledger, always
from gateway.tokens.legacy import Legacy, LegacyReader, OldTokens
from gateway.tokens.migration import mark_of
from gateway.tokens.promises import Promises
from gateway.tokens.rotation import Evicted, Family, Presented
from gateway.tokens.settings import TokenSettings
from gateway.tokens.standstill import Standstill

JITTER = 0.05
MAX_CLAIMS = 64
"""Verified tokens of one request that count, about as many as a header section holds; a store is told of each."""
RETRY_AFTER = 2.0
"""Seconds a client is asked to wait when Redis is away."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A verified refresh token with its text and whoever presents it."""

    text: str = field(repr=False)
    token: RefreshToken
    client: Client
    old: Legacy | None = None
    """Set for a token that the backend minted before the gateway did."""

    @property
    def presented(self) -> Presented:
        """What a ledger needs to know of it."""
        token = self.token
        return Presented(
            family=token.family,
            generation=token.generation,
            auth_time=token.auth_time,
            issued_at=token.issued_at,
            expires=token.expires,
            degraded=token.degraded,
            device=self.client.note,
        )


class Desk:
    """The collaborators of the three operations."""

    def __init__(
        self,
        settings: TokenSettings,
        ledger: Ledger,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        keys: Keys | None = None,
        standstill: Standstill | None = None,
        old_tokens: OldTokens | None = None,
        available: Available = always,
    ) -> None:
        self.settings = settings
        self.policy = settings.policy
        self.ledger = ledger
        self.mint = Mint(settings, keys)
        self.carrier = carrier_of(settings)
        self.dialect = dialect_of(settings.dialect)
        self._legacy = LegacyReader(settings)
        self.old_tokens = old_tokens
        self._attempts = FailedAttempts()
        self.emit = emit
        self.clock = clock
        self._available = available
        self.promises = Promises(ledger, standstill or Standstill(), clock)

    async def claims(self, exchange: Exchange, operation: Operation = "refresh") -> list[Claim]:
        """Return the refresh tokens that a request presents, at least one: the newest first, equals as they came.

        Only what is verified is counted against `MAX_CLAIMS`, so that no number of forgeries hides a good token.

        Raises:
            GatewayError: `invalid-request` when there is none or it is no JWT, `invalid-token` when it is not ours.
        """
        refuse_query(exchange, self.dialect)
        texts = await self.carrier.presented(exchange, operation)
        client = client_of(exchange)
        claims: list[Claim] = []
        error: GatewayError | None = None
        for text in texts:
            try:
                claims.append(self._verified(text, client))
            except MalformedToken:
                error = error or malformed()
            except InvalidToken:
                error = error or self.refusal("not minted here as a refresh token")
        if claims:
            claims.sort(key=lambda claim: (claim.token.issued_at, claim.token.generation), reverse=True)
            return claims[:MAX_CLAIMS]
        raise error or malformed()

    def _verified(self, text: str, client: Client) -> Claim:
        try:
            return Claim(text, self.mint.read(text), client)
        except InvalidToken:
            if (found := self._legacy.read(text)) is None:
                raise
            return Claim(text, found[0], client, found[1])

    def pair(
        self,
        login: Login,
        family: str,
        record: Family,
        now: int,
        *,
        degraded: bool = False,
        current: Login | None = None,
    ) -> Pair:
        """Return the pair of a family's record, with an access token that is fresh at `now` (seconds).

        `current` has the claims of the access token, where they are not the login's any more.
        """
        refresh = self.mint.refresh(login, family, record, degraded=degraded)
        times = (record.auth_time, record.expires, now)
        return self.pair_around(refresh, current or login, *times, family=family, degraded=degraded)

    def pair_around(
        self,
        refresh: str,
        login: Login,
        auth_time: int,
        expires: int,
        now: int,
        *,
        family: str = "",
        degraded: bool = False,
    ) -> Pair:
        """Return a pair with a given refresh token, that ends at `expires`, and a fresh access token.

        Access tokens live up to `JITTER` shorter than they may, so that those of one moment do not all end in another.
        """
        longest = max(1, int(self.settings.access_ttl))
        ttl = longest - secrets.randbelow(int(longest * JITTER) + 1)
        ends = min(now + ttl, auth_time + self.policy.session_ttl)
        access = self.mint.access(login, now, ends, family=family, degraded=degraded)
        return Pair(access, refresh, ends - now, expires - now)

    def refusal(self, private: str) -> GatewayError:
        """Return the one answer for every token that is not good (RFC 9110 section 15.5.2)."""
        headers: Headers = [(b"WWW-Authenticate", b"Bearer"), *self.carrier.clear_headers()]
        return GatewayError("invalid-token", private=private, headers=headers)

    def failed(
        self, exchange: Exchange, error: GatewayError, action: str = "refresh", *, known: bool = False
    ) -> GatewayError:
        """Count a failed attempt; return its answer, or `too-many-attempts` when its address had too many of them.

        Only for tokens that are not ours, or of ours (`known`: the trail has them already) that no ledger knows: the
        good ones and their replays never come here.
        """
        wait = self._attempts.failed(exchange.client, self.clock.monotonic())
        network = client_of(exchange).network
        if wait is None:
            if not known:
                self.emit(AttemptFailed(action, "invalid", network))
            return error
        self.emit(AttemptFailed(action, "too-many-attempts", network))
        return GatewayError("too-many-attempts", private=error.private, retry_after=wait)

    @property
    def closed(self) -> bool:
        """Whether strict mode lets nothing be judged now: Redis is away, as the gate tells."""
        return self.settings.require_redis and not self._available()

    def redis_required(self, private: str, headers: Headers) -> GatewayError:
        """Return the answer for an operation that Redis is needed for."""
        return GatewayError("redis-required", private=private, retry_after=RETRY_AFTER, headers=headers)

    def note(self, operation: str, result: str, claim: Claim | None = None, outcome: str = "") -> None:
        """Report how an operation on a presented token ended: the result to the metrics, the outcome to the trail."""
        self.emit(TokenOperation(operation, result))
        if claim is not None:
            token, client = claim.token, claim.client
            hashed = self.mint.fingerprint(claim.text if claim.old is None else mark_of(claim.old.digest))
            user, family = token.login.user, token.family
            self.emit(Audit(operation, outcome or result, user, family, hashed, client.device, client.network))

    def note_evicted(self, user: str, evicted: tuple[Evicted, ...]) -> None:
        """Report the families that made room for a new one."""
        if evicted:
            self.emit(ExcessFamiliesCleaned(user, tuple(family for family, _ in evicted)))
        for family, device in evicted:
            self.emit(audit_of("evict", "evicted", user, family, device))
