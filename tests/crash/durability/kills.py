"""Kills a server under write load, and searches for rows that are lost or stored twice.

    python -m tests.crash.durability.kills --kills 250 --rows 100000

Trainers (streams with positions) and evaluators (calls without positions) send one call after the
other. They send a call again if it gets no answer. The server is killed with SIGKILL after a random
number of acknowledged rows, sometimes while it starts. It is started again with the same address
and store. At the end, `checker` compares everything.

With `--plant`, the server has a defect (see `planted`), and is killed at a moment when the defect
shows.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

import apsw
from podium_server.testing import RunningServer

from tests.crash.durability.checker import Findings, check
from tests.crash.durability.planted import PLANTS
from tests.crash.durability.writers import Evaluator, Trainer, Writer, begin

__all__ = ["KillableServer", "Report", "StalledError", "kill_under_load", "main"]

_TRAINERS = 6
_EVALUATORS = 2
_EXPERIMENTS = ("kills/a", "kills/b")
_STALLED_SECONDS = 240
_JITTER_SECONDS = 0.005
_START_SECONDS = 0.5
_WHILE_STARTING = 0.1
"""The share of kills that are followed by another one while the server starts again."""


@dataclass
class Report:
    """The events of a run and its findings."""

    seed: int
    kills: int = 0
    rows: int = 0
    calls: int = 0
    unknown: int = 0
    stored: int = 0
    seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)

    def __str__(self) -> str:
        rate = self.rows / max(self.seconds, 0.001)
        found = self.findings
        lines = (
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s",
            f"{self.rows} rows in {self.calls} calls acknowledged, {rate:.0f} rows/s",
            f"{self.unknown} calls sent again, {self.stored} of them were stored already",
            f"{found.lost} rows lost, {found.doubled} calls doubled, {found.other} other findings",
            *found.samples,
        )
        return "\n  ".join(lines)


class StalledError(Exception):
    """The run ended early, so it proves nothing."""


def kill_under_load(kills: int, rows: int, seed: int, plant: str | None = None) -> Report:
    """Kills a server while rows are recorded, and checks the results.

    `kills` and `rows` are the least numbers of kills and acknowledged rows. Raises StalledError if
    no row was acknowledged for minutes.
    """
    report = Report(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "podium.db"
        server = KillableServer(f"sqlite:///{path}", plant, Path(folder))
        try:
            _run(server, report, kills, rows)
        finally:
            server.stop()
        _check_file(path, report.findings)
    return report


def _run(server: "KillableServer", report: Report, kills: int, rows: int) -> None:
    random = Random(report.seed)  # noqa: S311 - no secret
    for experiment in _EXPERIMENTS:
        begin(server.address, experiment)
    writers = _writers(server.address, random)
    started = time.monotonic()
    for writer in writers:
        writer.start()
    for _ in range(kills):
        _wait_for_rows(writers, random.randint(1, max(1, 2 * rows // kills)))
        time.sleep(random.uniform(0, _JITTER_SECONDS))
        report.kills += server.kill_and_start(random)
        if any(writer.failure for writer in writers):
            break
    _finish(writers, rows, report)
    report.seconds = time.monotonic() - started
    arms = [arm for writer in writers for arm in writer.arms]
    findings = check(server.address, arms)
    findings.samples[:0] = [writer.failure for writer in writers if writer.failure]
    findings.other += sum(writer.failure is not None for writer in writers)
    report.findings = findings
    report.calls = sum(len(arm.calls) for arm in arms)


def _writers(address: str, random: Random) -> list[Writer]:
    kinds = [Trainer] * _TRAINERS + [Evaluator] * _EVALUATORS
    return [
        kind(address, _EXPERIMENTS[number % 2], f"{kind.__name__}{number}", random.randrange(2**32))
        for number, kind in enumerate(kinds)
    ]


def _wait_for_rows(writers: list[Writer], rows: int) -> None:
    """Waits until this number of further rows is acknowledged, or until a writer fails."""
    before = seen = sum(writer.rows for writer in writers)
    changed = time.monotonic()
    while seen < before + rows and not any(writer.failure for writer in writers):
        time.sleep(0.001)
        now = sum(writer.rows for writer in writers)
        if now > seen:
            seen, changed = now, time.monotonic()
        elif time.monotonic() > changed + _STALLED_SECONDS:
            raise StalledError(f"no row was acknowledged for {_STALLED_SECONDS} s")


def _finish(writers: list[Writer], rows: int, report: Report) -> None:
    """Waits for the requested number of rows, and for the answers of the last calls."""
    _wait_for_rows(writers, max(1, rows - sum(writer.rows for writer in writers)))
    for writer in writers:
        writer.stop()
    for writer in writers:
        writer.join(_STALLED_SECONDS)
    report.rows = sum(writer.rows for writer in writers)
    report.unknown = sum(writer.unknown for writer in writers)
    report.stored = sum(writer.stored for writer in writers)


def _check_file(path: Path, findings: Findings) -> None:
    connection = apsw.Connection(str(path))
    check = connection.pragma("integrity_check")
    connection.close()
    if check != "ok":
        findings.note(f"integrity_check: {check}")


class KillableServer(RunningServer):
    """A server that can be killed. If `plant` is given, the server has this defect.

    Attributes:
        held: The writer ids of the calls that it held when `kill_at_the_moment` killed it.
    """

    def __init__(self, store: str, plant: str | None, folder: Path) -> None:
        self._plant = plant
        self._folder = folder
        self.held: list[str] = []
        super().__init__(store, ("--log-level", "error"))

    def kill_and_start(self, random: Random) -> int:
        """Kills the server and starts it again. Returns the number of kills."""
        if self._plant is not None:
            self.kill_at_the_moment()
            self.start()
            return 1
        self.kill()
        kills = 1
        if random.random() < _WHILE_STARTING:
            with subprocess.Popen(self._command(), stdout=subprocess.DEVNULL) as starting:
                time.sleep(random.uniform(0, _START_SECONDS))
                starting.kill()
            kills = 2
        self.start()
        return kills

    def kill_at_the_moment(self) -> None:
        """Kills the server when it has reached a moment when its defect shows."""
        asked, reached = self._folder / "asked", self._folder / "reached"
        asked.touch()
        deadline = time.monotonic() + _STALLED_SECONDS
        while not reached.exists():
            if time.monotonic() > deadline:
                raise StalledError("the server did not reach the moment of its defect")
            time.sleep(0.005)
        self.held = reached.read_text().split("\n")
        self.kill()
        asked.unlink()
        reached.unlink()

    def pause(self) -> None:
        """Makes the server hang: it keeps its connections and sends no answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends a `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        command = super()._command()
        if self._plant is None:
            return command
        script = Path(__file__).with_name("planted.py")
        return [sys.executable, str(script), self._plant, str(self._folder), *command[3:]]


def main() -> int:
    """Runs the command. Returns 1 if there are findings."""
    parser = argparse.ArgumentParser(description="Kills a server under write load.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument("--plant", choices=sorted(PLANTS))
    arguments = parser.parse_args()
    report = kill_under_load(arguments.kills, arguments.rows, arguments.seed, arguments.plant)
    sys.stdout.write(f"{report}\n")
    return 1 if report.findings.any else 0


if __name__ == "__main__":
    sys.exit(main())
