"""Converts exceptions to the statuses of calls. No other module does so."""

import logging

from podium._wire.status import Status, to_status
from podium.errors import PodiumError

from podium_server.errors import internal_error

__all__ = ["status_of"]

_log = logging.getLogger(__name__)


def status_of(error: Exception, method: str) -> Status:
    """Returns the status for an exception of a method, and logs the exception.

    If the exception is not a PodiumError, its text appears only in the log.
    """
    if not isinstance(error, PodiumError):
        return to_status(internal_error(_log, f"an internal error in {method}", error))
    _log.debug("%s: %s: %s", method, error.reason, error.message)
    return to_status(error)
