"""Makes the errors that calls raise when the database fails, and logs them."""

import asyncio
import logging
from collections import Counter

import asyncpg
from podium.errors import PodiumError

from podium_server.errors import failure, internal_error, overloaded
from podium_server.store.contract import StoreError
from podium_server.store.shown_url import shown_url

__all__ = [
    "LOST",
    "REPEATED",
    "Seldom",
    "connecting",
    "is_rejected",
    "is_undone",
    "not_opened",
    "outcome_unknown",
    "undone",
]

_LOG_SECONDS = 10.0


class Seldom(logging.Filter):
    """Passes each kind of message once in 10 seconds.

    A database that has failed causes a message at every call.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}
        self._dropped: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether to log a message. Adds to it the number of messages dropped before.

        A message with a traceback is always logged.
        """
        if record.exc_info:
            return True
        kind = record.msg
        if record.created < self._passed.get(kind, 0.0) + _LOG_SECONDS:
            self._dropped[kind] += 1
            return False
        self._passed[kind] = record.created
        if dropped := self._dropped.pop(kind, 0):
            record.msg = f"{kind} ({dropped} more since the last such message)"
        return True


_log = logging.getLogger(__name__)
_log.addFilter(Seldom())

LOST = (
    OSError,
    asyncpg.InterfaceError,
    # asyncpg raises this error if the database has ended a connection, or if no host is the leader.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    # For example, a disk with errors.
    asyncpg.PostgresSystemError,
)
"""The errors of a lost connection, and of a host that is no longer the leader. The transaction was
rolled back, unless its COMMIT was sent."""
REPEATED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""The errors of a transaction that was rolled back because of another one, and can run again."""
_BUSY = (
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    # For example, too many connections, or no memory.
    asyncpg.InsufficientResourcesError,
    *REPEATED,
)
_NOTHING = "nothing was changed; try again later"


def connecting(error: asyncpg.PostgresError) -> Exception:
    """Returns the error to raise if no connection can be opened.

    The error means a lost connection or a busy database, so callers can treat it as one of these.
    """
    is_known = isinstance(error, (*LOST, *_BUSY))
    # For example, "could not write init file" on a full disk, or a password that was changed.
    return error if is_known else ConnectionError(f"cannot connect: {error}")


def undone(error: BaseException) -> PodiumError:
    """Returns the error of calls that changed nothing because the database failed."""
    if isinstance(error, asyncpg.DiskFullError):
        _log.error("the disk of the database is full")
        return failure("STORAGE_FULL", f"the disk of the database is full; {_NOTHING}")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        _log.error("the database is read-only")
        return failure("SHUTTING_DOWN", f"the database is read-only now; {_NOTHING}")
    if isinstance(error, _BUSY):
        _log.warning("the database did not answer in time: %s", error or type(error).__name__)
        return overloaded(f"the database did not answer in time; {_NOTHING}")
    if isinstance(error, LOST):
        _log.warning("the connection to the database was lost: %s", error)
        return failure("SHUTTING_DOWN", f"the database cannot be reached; {_NOTHING}")
    return internal_error(_log, "the database refused a statement; nothing was changed", error)


def is_undone(error: BaseException) -> bool:
    """Returns whether a COMMIT that raised this error has certainly changed nothing."""
    code = getattr(error, "sqlstate", None) or ""
    return code[:2] in {"23", "25", "40", "53"}


def is_rejected(error: BaseException) -> bool:
    """Returns whether a statement that raised this error has certainly changed nothing."""
    is_answer = isinstance(error, asyncpg.PostgresError) and not isinstance(error, LOST)
    return is_answer or is_undone(error)


def outcome_unknown() -> PodiumError:
    """Returns the error of calls whose COMMIT was sent, but whose answer was lost."""
    return failure(
        "OUTCOME_UNKNOWN",
        "the database failed while it committed; it is unknown whether the call was stored, so "
        "send it again",
    )


def not_opened(url: str, error: Exception) -> StoreError:
    """Returns the error of a database that cannot be opened, without its password."""
    reason = str(error) or type(error).__name__
    if type(error) is ValueError:  # Its text can contain a part of the password.
        reason = "the URL is malformed; write %2F for / in a password, %3F for ? and %40 for @"
    return StoreError(f"cannot open the database {shown_url(url)}: {reason}")
