"""Tests that results which were stored before a limit was lowered can be read and deleted."""

from pathlib import Path

import podium
import pytest
from podium_server.testing import running_server

_NAME = "a-name-of-more-than-twenty-bytes"
_SCORE = f"{_NAME}.{_NAME}"


def _fill(client: podium.Client) -> None:
    experiment = client.experiment(_NAME)
    experiment.declare(success_metric=_SCORE, tags=[_NAME])
    row = podium.EvalResult(_NAME, metrics={_NAME: 0.5})
    arm = podium.ArmResult(
        _NAME, podium.RunConfig("r", tags=[_NAME]), "completed", evals=[row], group_name=_NAME
    )
    experiment.record_arm(arm)


def test_long_names_are_read_and_deleted(tmp_path: Path) -> None:
    """Reads and deletions accept a name that is too long to be written now."""
    store = f"sqlite:///{tmp_path}/x.db"
    with running_server(store) as server, podium.Client(server.address) as client:
        _fill(client)
    with (
        running_server(store, "--limit", "name_bytes=20") as server,
        podium.Client(server.address) as client,
    ):
        experiment, arm = client.experiment(_NAME), client.arm(_NAME, _NAME)
        assert [found.name for found in client.experiments(name_prefix=_NAME, tags=[_NAME])]
        assert experiment.get().success_metric == _SCORE
        assert [found.name for found in experiment.arms(tags=[_NAME], group_name=_NAME)] == [_NAME]
        assert (arm.score(_SCORE), arm.eval(_NAME) is not None) == (0.5, True)
        assert [row.name for row in arm.get().evals] == [_NAME]
        assert [row.name for row in arm.evals(name=_NAME)] == [_NAME]
        assert experiment.rank().arms[0].score == 0.5
        assert experiment.rank(_SCORE).arms[0].score == 0.5
        assert experiment.scores([_SCORE])[_SCORE] == [0.5]
        with pytest.raises(podium.InvalidArgumentError, match="20 bytes"):
            arm.log_eval("val", {"acc": 0.5})
        arm.delete()
        experiment.delete()
