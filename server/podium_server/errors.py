"""Builds the errors of the server, each with its reason."""

import logging
import secrets

from podium.errors import PodiumError, error_for

__all__ = [
    "RETRY_SECONDS",
    "failure",
    "internal_error",
    "out_of_range",
    "overloaded",
    "shutting_down",
    "unknown_arm",
    "unknown_experiment",
]

RETRY_SECONDS = 0.25
"""The seconds that a rejected client is asked to wait before a retry. Clients add a random time."""


def failure(reason: str, message: str, /, **metadata: str) -> PodiumError:
    """Returns the error with a reason of `podium.errors.REASONS` and the reason's metadata."""
    return error_for(reason, message, metadata)


def overloaded(message: str, seconds: float = RETRY_SECONDS) -> PodiumError:
    """Returns the error of an overloaded server, with the time until a retry."""
    error = failure("OVERLOADED", message)
    error.retry_after = seconds
    return error


def out_of_range(field: str, message: str) -> PodiumError:
    """Returns the error of a request whose field has a value that is not allowed."""
    return failure("FIELD_OUT_OF_RANGE", message, field=field)


def internal_error(log: logging.Logger, message: str, error: BaseException) -> PodiumError:
    """Logs an exception with a new id. Returns the error INTERNAL with `message` and the id.

    The text of the exception appears only in the log.
    """
    incident = secrets.token_hex(4)
    log.error("incident %s: %s", incident, message, exc_info=error)
    text = f"{message}, incident {incident}; the log of the server has the details"
    return failure("INTERNAL", text, incident=incident)


def shutting_down() -> PodiumError:
    """Returns the error of a call that arrives, or still runs, while the server stops."""
    return failure("SHUTTING_DOWN", "the server is stopping; try again later")


def unknown_experiment(name: str) -> PodiumError:
    """Returns the error of an experiment that does not exist."""
    return failure(
        "EXPERIMENT_NOT_FOUND",
        f"there is no experiment {name!r}; declare it first, or see `podium experiments`, and "
        "`podium whoami` for the names that your token allows",
        experiment=name,
    )


def unknown_arm(experiment: str, arm: str) -> PodiumError:
    """Returns the error of an arm that does not exist."""
    return failure(
        "ARM_NOT_FOUND",
        f"experiment {experiment!r} has no arm {arm!r}; start it or record it first, or see "
        f"`podium arms {experiment}`",
        experiment=experiment,
        arm=arm,
    )
