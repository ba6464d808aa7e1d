"""Raising errors with their reasons in one line."""

from podium.errors import PodiumError, error_for

__all__ = ["failure", "unknown_arm", "unknown_experiment"]


def failure(reason: str, message: str, /, **metadata: str) -> PodiumError:
    """The error of a reason of `podium.errors.REASONS`, with the reason's metadata."""
    return error_for(reason, message, metadata)


def unknown_experiment(name: str) -> PodiumError:
    """There is no such experiment; one may still be declared."""
    return failure(
        "EXPERIMENT_NOT_FOUND",
        f"there is no experiment {name!r}; declare it first, or see `podium experiments`",
        experiment=name,
    )


def unknown_arm(experiment: str, arm: str) -> PodiumError:
    """The experiment has no such arm; one may still be started or recorded."""
    return failure(
        "ARM_NOT_FOUND",
        f"experiment {experiment!r} has no arm {arm!r}; start it or record it first, or see "
        f"`podium arms {experiment}`",
        experiment=experiment,
        arm=arm,
    )
