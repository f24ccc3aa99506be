"""What can be changed of a simulated vendor while it runs, with what each may be.

The one idea: a behaviour is a checked model, so that a change with a typing error is refused as a whole and a test
never runs against the vendor it did not ask for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

LoginFault = Literal[
    "none", "authentication_failure", "not_approved", "login_rate_exceeded", "hang", "server_error", "unavailable"
]
SalesforceFault = Literal[
    "none", "expired", "unrecoverable", "daily", "concurrent", "concurrent_long", "server_error", "unavailable"
]
WhmcsFault = Literal["none", "rate_limit", "invalid_ip", "business_error", "server_error", "unavailable"]


class Behaviour(BaseModel):
    """What every vendor has.

    Attributes:
        latency: seconds that a call takes.
        slow_probability, slow_seconds: how many calls are slow instead, and how long those take.
        seed: of everything that is left to chance, from the next reset on.
        fault_times: how many calls meet `fault`, after which it is `none`; 0: every call until it is changed.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    latency: Seconds = 0.05
    slow_probability: Probability = 0.0
    slow_seconds: Seconds = 30.0
    seed: int = 0
    fault_times: Count = 0


class WhmcsBehaviour(Behaviour):
    """What can be changed of WHMCS.

    Attributes:
        fault: what happens to calls with good credentials.
        allow_ip: whether the callers' addresses are on the allow-list; when not, only the access key helps.
        ban_after: failed authentications of one address that ban it.
    """

    fault: WhmcsFault = "none"
    allow_ip: bool = True
    ban_after: Count = 5


class SalesforceBehaviour(Behaviour):
    """What can be changed of Salesforce.

    Attributes:
        long_latency: seconds that a Bulk call takes.
        fault: what happens to API calls.
        job_seconds: until a job is done.
        page_records, bulk_page_records: records on a page of a query, and of a Bulk API 2.0 query's results.
        session_seconds: that a session opened from now on lasts.
        expire_probability: that a call ends its session, and is the first one refused.
        expire_spares: calls at the start of a session that do not end it by chance.
        new_token: whether a login opens another session although one is open.
        instance_url: the base URL that logins tell; empty: the one they came to.
        login_latency: seconds that a login takes.
        login_fault, login_fault_times: what happens to logins; as `fault` and `fault_times`.
        logins_per_hour: of one user; more get `login rate exceeded`.
        daily_limit: API calls in 24 hours.
        app_limit: API calls of the connected app that `Sforce-Limit-Info` tells of; 0: it tells none.
        long_call_seconds, long_call_limit: from when on a call is long, and how many may be at once.
    """

    long_latency: Seconds = 0.2
    fault: SalesforceFault = "none"
    job_seconds: Seconds = 1.0
    page_records: Annotated[int, Field(ge=1)] = 5
    bulk_page_records: Annotated[int, Field(ge=1)] = 50_000
    session_seconds: Seconds = 7200.0
    expire_probability: Probability = 0.0
    expire_spares: Count = 0
    new_token: bool = False
    instance_url: str = ""
    login_latency: Seconds = 0.05
    login_fault: LoginFault = "none"
    login_fault_times: Count = 0
    logins_per_hour: Count = 3600
    daily_limit: Count = 100_000
    app_limit: Count = 0
    long_call_seconds: Seconds = 20.0
    long_call_limit: Count = 25


B = TypeVar("B", bound=Behaviour)


def changed(behaviour: B, changes: Any) -> B:
    """Return `behaviour` with some of its values replaced.

    Raises:
        TypeError: when `changes` is not an object.
        pydantic.ValidationError: when it names something else, or a value that may not be.
    """
    if not isinstance(changes, dict):
        raise TypeError("changes are an object: what to change, and its new value")
    return behaviour.model_validate(behaviour.model_dump() | changes)
