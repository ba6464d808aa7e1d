"""Determines the final status and the error of an arm when the block that trains it ends."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from podium._values.enums import ArmStatus
from podium._values.shorten_text import shorten_middle

__all__ = ["Ending", "ending_of", "error_text", "is_pruned"]

_ERROR_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Ending:
    """The final status of an arm, and its error text, if any."""

    status: ArmStatus
    error: str | None = None


def ending_of(error: BaseException | None) -> Ending:
    """Returns the end of an arm whose block has ended.

    `error` is the exception that ended the block, or None.
    """
    if error is None:
        return Ending(ArmStatus.COMPLETED)
    if is_pruned(error):
        return Ending(ArmStatus.CANCELLED, ": ".join(filter(None, ["pruned", str(error)])))
    if isinstance(error, Exception) or (isinstance(error, SystemExit) and error.code):
        return Ending(ArmStatus.FAILED, error_text("".join(traceback.format_exception(error))))
    # KeyboardInterrupt, asyncio's CancelledError and sys.exit() end a block on request.
    return Ending(ArmStatus.CANCELLED, "".join(traceback.format_exception_only(error)).strip())


def is_pruned(error: BaseException | None) -> bool:
    """Returns whether an exception is Optuna's TrialPruned, which ends a bad trial early."""
    return any(kind.__name__ == "TrialPruned" for kind in type(error).__mro__)


def error_text(text: str) -> str:
    """Returns an error text in a form that servers accept.

    Shortens it to 1 MiB in the middle, and escapes NUL and unpaired surrogates.
    """
    data = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    return shorten_middle(data.decode(), _ERROR_BYTES)
