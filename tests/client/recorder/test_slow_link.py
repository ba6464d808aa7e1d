"""Tests of a link of 60 kB per second: the end of a training run waits for the delivery."""

from pathlib import Path

import podium
import pytest
from podium._recorder import process_outbox
from podium_server.testing import RunningServer

from tests.client.recorder.cut import connection_to

pytestmark = pytest.mark.slow

BYTES_PER_SECOND = 60_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("rows", "metrics"), [(4_000, 4), (400, 150)])
def test_the_end_waits_while_progress_is_made(
    rows: int,
    metrics: int,
    server: RunningServer,
    client: podium.Client,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the block, the server has all rows, even if they are many or large on a slow link."""
    # On a busy machine, delivery takes even longer.
    monkeypatch.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", 30.0)
    monkeypatch.setattr(process_outbox, "_PROGRESS_SECONDS", 60.0)
    values = {f"metric_{number}": number / 7 for number in range(metrics)}
    with (
        connection_to(server.address, BYTES_PER_SECOND) as link,
        podium.record(
            name, address=link.address, outbox=tmp_path / "outbox", close_timeout=250
        ) as experiment,
    ):
        with experiment.start_arm(podium.RunConfig("arm")) as arm:
            assert arm.flush(60).durable
            for step in range(rows):
                arm.log_eval("val", values | {"n": step}, step=step)
            arm.log_eval("test", {"n": -1}, tags=["test"])
        experiment.close()
        assert link.carried > 500_000
    assert experiment.counters.dropped == 0
    found = client.arm(name, "arm").get()
    assert (found.status, found.score("test.n")) == ("completed", -1)
    steps = [row.step for row in found.evals if row.name == "val"]
    assert steps == list(range(rows))
    assert all(row.metrics["n"] == row.step for row in found.evals if row.name == "val")
