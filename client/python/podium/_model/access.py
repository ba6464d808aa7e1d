"""The tokens of a server, without their secrets."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from podium._values import coerce
from podium._values.base import ModelBase

__all__ = ["IssuedToken", "Token", "TokenLimits"]


@dataclass(eq=False, repr=False)
class TokenLimits(ModelBase):
    """The limits of the calls that are made with a token. Each server counts only its own calls.

    If a limit is None, the default of the server is used; without a default, there is no limit. If
    a call exceeds a limit, the client repeats it after the time that the server names. If that is
    after the deadline of the call, the call raises ResourceExhaustedError (`QUOTA_EXCEEDED`).
    """

    calls_per_second: int | None = None
    """The most calls per second. After a pause, twice as many are allowed in the first second."""
    calls: int | None = None
    """The most calls at the same time. Watches are not counted."""
    watches: int | None = None
    """The most watches at the same time."""
    events_per_second: int | None = None
    """The most recorded events per second, on average."""
    bytes_per_second: int | None = None
    """The most bytes of recorded events per second, on average."""
    stored_rows: int | None = None
    """The most rows in the experiments of the token's prefixes, no matter which token stored them.

    Each experiment, arm, eval row and step of a training series is a row. A call that adds rows
    beyond this limit is rejected. A sender repeats the call once a minute until there is room.
    """

    def __post_init__(self) -> None:
        for name in self.given():
            self._coerce(_from_one, name)

    def given(self) -> dict[str, int]:
        """Returns the limits that are not None, by name."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: number for name, number in found.items() if number is not None}

    def or_else(self, default: "TokenLimits") -> "TokenLimits":
        """Returns limits in which each None is replaced by the limit of `default`."""
        return TokenLimits(**{**default.given(), **self.given()})


@dataclass(eq=False, repr=False)
class Token(ModelBase):
    """A token without its secret."""

    id: str
    """The id: the part of the token that is not secret."""
    name: str
    """The name of the user or service. Several tokens can have the same name."""
    role: str
    """The role: a Role, such as `reader`. It decides which calls the token allows."""
    prefixes: list[str] = field(default_factory=list)
    """The experiments to which the token gives access, with all experiments below them.

    An experiment `nlp/sweep` is below `nlp`. An empty list gives access to all experiments.
    """
    create_time: datetime | None = None
    """The time at which the token was created."""
    expire_time: datetime | None = None
    """The time at which the token expires; None if it never does."""
    revoke_time: datetime | None = None
    """The time at which the token was revoked; None if it was not."""
    limits: TokenLimits = field(default_factory=TokenLimits)
    """The limits of calls with the token."""
    stored_rows: int | None = None
    """The number of rows that are stored in the experiments to which the token gives access.

    Only `whoami()` and `tokens()` set this number. It is at most a few seconds old.
    """

    def record(self) -> dict[str, Any]:
        """Returns the token as a row of a table: one dict, with a key for each limit."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        del given["limits"]
        limits = {f"limits.{name}": number for name, number in self.limits.given().items()}
        return {**given, **limits}


@dataclass(eq=False, repr=False)
class IssuedToken(ModelBase):
    """A new token. The server does not keep the secret, so store it now."""

    token: Token
    """The description of the token."""
    secret: str = field(repr=False)
    """The whole token, which is passed to clients: `pdm_...`."""


def _from_one(given: object, where: str) -> int:
    number = coerce.integer(given, where)
    if number < 1:
        raise ValueError(f"{where} is {number}; give 1 or more, or None for no limit")
    return number
