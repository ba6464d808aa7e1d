"""Converts arms of the naive rules of writes for the naive rules of reads."""

import podium
from podium._wire import codec

from tests.server.writes.naive_state import Arm

__all__ = ["plain"]


def plain(arm: Arm) -> podium.ArmResult:
    """Returns an arm as a `podium.ArmResult`."""
    config = codec.run_config_from_proto(arm.config)
    status = codec.arm_status_from_proto(arm.status)
    built = podium.ArmResult(arm.name, config, status, dict(arm.metrics))
    built.group_name = arm.facts.get("group_name")
    built.evals = [codec.eval_result_from_proto(row.said) for row in arm.rows]
    if arm.given is not None and not arm.rows:
        built.eval_metrics = dict(arm.given.eval_metrics)
    return built
