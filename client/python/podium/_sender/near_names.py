"""Finds arms whose names are similar to the name of an arm that does not exist."""

from podium._sender.recording_client import ExperimentReader
from podium._values.suggest import did_you_mean
from podium.errors import PodiumError

__all__ = ["near_arms_text"]

_LISTED = 2_000
"""The most arms that are compared, so that one call is enough."""


async def near_arms_text(experiment: ExperimentReader, arm: str) -> str:
    """Returns a hint with the names of arms that are similar to `arm`.

    Returns "" if there are no such arms, or if a call fails.
    """
    names: list[str] = []
    try:
        async for found in experiment.arms():
            names.append(found.name)
            if len(names) == _LISTED:
                break
    except PodiumError:
        return ""
    return did_you_mean(arm, names)
