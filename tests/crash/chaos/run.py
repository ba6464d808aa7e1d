"""Kills trainers, senders and the server while results are recorded, and looks for what is lost.

    python -m tests.crash.chaos.run --kills 100 --rows 50000

Four processes record as a training does, into the outboxes of two machines, on a small disk; the
senders that they start deliver to one server. Each is killed with SIGKILL at random moments, the
server is stopped now and then as a hanging one is, and the disk fills up. In the end `podium sync`
delivers the rest, and `checker` compares everything. `--plant` brings a defect of senders in, and
the event that shows it, to see that it is found.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

import podium

from tests.crash.chaos.actors import Disk, Place, Senders, Slot
from tests.crash.chaos.audit import Audit, begin_audit
from tests.crash.chaos.checker import Checker
from tests.crash.chaos.report import Report
from tests.crash.chaos.sending import ANSWERS, PLANT, PLANTS, read_answers
from tests.crash.chaos.tearing import ASKED, REACHED
from tests.crash.chaos.training import EVALUATOR, RESUMED, TRAINER
from tests.crash.durability.kills import KillableServer, StalledError

__all__ = ["main", "run"]

_PROJECT = Path(__file__).parents[3]
_PLANTED = Path(__file__).with_name("planted")
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
_MOUNT = (*_NAMESPACE, "sh", "-ec", 'mount -t tmpfs -o size=48m tmpfs "$0"; exec "$@"')
_UNSET = ("RANK", "SLURM_PROCID", "PODIUM_OFFLINE", "PODIUM_ADDRESS", "PODIUM_OUTBOX")
_STALLED_SECONDS = 240
_LONGEST_PAUSE = 0.6
_MOST_ANSWERS = 8
_LONGEST_WAIT = 4.0
_MOMENT = 0.04
_EARLY = "ARM_NOT_FOUND"
_STALL_SECONDS = (0.2, 3.0)
_FULL_SECONDS = (0.2, 1.0)
_SYNC_SECONDS = 300
_SYNCS = 20


class _Run:
    """A run under way."""

    def __init__(
        self,
        folder: Path,
        outbox: Path,
        seed: int,
        plant: str | None,
        *,
        is_small: bool,
    ) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret
        self._store = folder / "podium.db"
        self._answers = folder / "answers"
        self._server = KillableServer(
            f"sqlite:///{self._store}",
            "hold_before_answer" if plant == "resend_anew" else None,
            folder,
        )
        self._server.stop()
        begin_audit(self._store)
        self._server.start()
        place = Place(self._server.address, outbox, folder, self._environment(plant))
        self._slots = [
            Slot(place, TRAINER, "calm", seed + 1),
            Slot(place, TRAINER, "torn", seed + 2, tears=True),
            Slot(place, RESUMED, "resumed", seed + 3),
            Slot(place, EVALUATOR, "early", seed + 4),
        ]
        self._senders = Senders(place)
        self._disk = Disk(outbox) if is_small else None
        self._place = place
        show: dict[str | None, Callable[[], None]] = {
            "resend_anew": self._kill_before_an_answer,
            "skip_a_wait": self._wait_for_an_early_row,
            "no_cut": self._kill_within_a_record,
        }
        self._show_defect = show.get(plant)
        self.report = Report(seed)

    def _environment(self, plant: str | None) -> dict[str, str]:
        path = [str(_PLANTED), str(_PROJECT), os.environ.get("PYTHONPATH", "")]
        said = {
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            ANSWERS: str(self._answers),
            PLANT: plant or "",
        }
        return {name: value for name, value in os.environ.items() if name not in _UNSET} | said

    # ---- what happens ------------------------------------------------------------------------

    def go(self, kills: int, rows: int) -> None:
        """Lets everything happen, then delivers the rest, and checks."""
        started = time.monotonic()
        try:
            with podium.Client(self._server.address) as client:
                for name in (TRAINER, RESUMED):
                    client.experiment(f"chaos/{name}").declare()
            for slot in self._slots:
                self._start(slot)
            while self.report.kills < kills:
                self._wait_for_rows(rows * self.report.kills // kills)
                time.sleep(self._random.uniform(0, _LONGEST_PAUSE))
                self._disturb()
            if self._show_defect is not None:
                self._show_defect()
            self._wait_for_rows(rows)
            self._end()
            self.report.seconds = time.monotonic() - started
            self._check()
        finally:
            self._clean_up()

    def _start(self, slot: Slot) -> None:
        calm = self._slots[0]
        slot.start(calm.arm(len(calm.lives)) if slot is self._slots[-1] else None)

    def _wait_for_rows(self, rows: int) -> None:
        """Waits until so many rows were logged.

        Raises:
            StalledError: None was logged for minutes, or a process ended by itself.
        """
        seen, changed = -1, time.monotonic()
        while (now := sum(slot.logged for slot in self._slots)) < rows:
            if now > seen:
                seen, changed = now, time.monotonic()
            failed = [slot.name for slot in self._slots if slot.has_failed]
            if failed or time.monotonic() > changed + _STALLED_SECONDS:
                log = (self._place.ledgers / "stderr.log").read_text()[-3_000:]
                raise StalledError(f"{now} rows of {rows}; ended by itself: {failed}\n{log}")
            time.sleep(0.02)

    def _disturb(self) -> None:
        chance = self._random.random()
        if chance < 0.08:
            self._stall()
        elif chance < 0.16 and self._disk is not None:
            self._fill(self._disk)
        elif chance < 0.20:
            self._kill_sender()
            self._kill_slot()
            self._kill_server()
        else:
            self._kill_one()

    def _kill_one(self) -> None:
        chance = self._random.random()
        if chance < 0.45:
            self._kill_slot()
        elif chance < 0.75:
            self._kill_sender()
        else:
            self._kill_server()

    def _kill_slot(self, slot: Slot | None = None) -> None:
        slot = slot or self._random.choice(self._slots)
        if slot is self._slots[0] and not slot.has_begun:
            # Somebody evaluates its arm, and would wait for ever.
            slot = self._slots[1]
        slot.kill()
        self.report.trainer_kills += 1
        self._start(slot)

    def _kill_sender(self) -> None:
        """Kills the sender; in half the cases somebody starts the next one at once."""
        self.report.sender_kills += self._senders.kill(self._random)
        if self._random.random() < 0.5:
            self._senders.start()

    def _kill_server(self) -> None:
        """Kills the server when it has answered something since the last time, if it does."""
        answers = self._good_answers() + self._random.randint(1, _MOST_ANSWERS)
        self._wait(lambda: self._good_answers() >= answers, _LONGEST_WAIT)
        time.sleep(self._random.uniform(0, _MOMENT))
        self.report.server_kills += self._server.kill_and_start(self._random)

    def _kill_before_an_answer(self) -> None:
        """Kills the server while it holds the answers to calls; then they are sent again."""
        self._server.kill_at_the_moment()
        self.report.server_kills += 1
        # The client repeats a call by itself for a while.
        self._wait_for(lambda: self._first_unknown() is not None)
        self._server.start()
        self._wait_for(self._is_resent)

    def _first_unknown(self) -> int | None:
        """Returns the place of the first answer that never came of a call that was held."""
        for index, one in enumerate(read_answers(self._answers)):
            if one.is_unknown and one.writer_id in self._server.held:
                return index
        return None

    def _is_resent(self) -> bool:
        answers, place = read_answers(self._answers), self._first_unknown()
        assert place is not None
        later = answers[place + 1 :]
        return any(not one.error and one.writer_id == answers[place].writer_id for one in later)

    def _wait_for_an_early_row(self) -> None:
        """Waits until the row of an arm that nobody has started was refused."""
        self._wait_for(lambda: any(one.error == _EARLY for one in read_answers(self._answers)))

    def _kill_within_a_record(self) -> None:
        """Kills the process that leaves torn records when it has written half of one."""
        asked, reached = self._place.ledgers / ASKED, self._place.ledgers / REACHED
        asked.touch()
        self._wait_for(reached.exists)
        asked.unlink()
        self._kill_slot(self._slots[1])

    def _wait_for(self, event: Callable[[], bool]) -> None:
        """Waits for what shows a defect.

        Raises:
            StalledError: It did not happen within minutes.
        """
        self._wait(event, _STALLED_SECONDS)
        if not event():
            raise StalledError("what shows the defect did not happen")

    @staticmethod
    def _wait(until: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _good_answers(self) -> int:
        return sum(not answer.error for answer in read_answers(self._answers))

    def _stall(self) -> None:
        """The server hangs; then an attempt gives way to the next one, or a sender dies."""
        self._server.pause()
        self.report.stalls += 1
        time.sleep(self._random.uniform(*_STALL_SECONDS))
        if self._random.random() < 0.7:
            resumed = self._slots[2]
            self._kill_slot(resumed)
            self._wait(lambda: resumed.has_begun, _STALL_SECONDS[1])
        else:
            self._kill_sender()
        self._server.resume()

    def _fill(self, disk: Disk) -> None:
        """The disk is full, and somebody may die meanwhile."""
        disk.fill()
        time.sleep(self._random.uniform(*_FULL_SECONDS))
        if self._random.random() < 0.5:
            self._random.choice((self._kill_slot, self._kill_sender))()
        disk.free()
        self.report.full_disks += 1

    # ---- the end -----------------------------------------------------------------------------

    def _end(self) -> None:
        """Every arm is begun that somebody evaluates; all end in good order; all is delivered."""
        calm = self._slots[0]
        for life in range(2):
            before = calm.logged
            while calm.logged < before + 10 and not calm.has_failed:
                time.sleep(0.01)
            calm.stop()
            if not life:
                self._start(calm)
        for slot in self._slots[1:]:
            slot.stop()
        self._sync()

    def _sync(self) -> None:
        for root in self._place.roots:
            if root.exists():
                self._sync_root(root)

    def _sync_root(self, root: Path) -> None:
        command = [sys.executable, "-m", "podium", "sync", str(root), "--json"]
        for _ in range(_SYNCS):
            self._senders.kill()
            done = subprocess.run(
                command,
                cwd=_PROJECT,
                env=self._place.environment,
                capture_output=True,
                text=True,
                timeout=_SYNC_SECONDS,
                check=False,
            )
            if '"waiting": 0' in done.stdout:
                return
        self.report.findings.note(f"podium sync does not end: {done.stdout}{done.stderr}")

    def _check(self) -> None:
        lives = [life for slot in self._slots for life in slot.lives]
        answers = read_answers(self._answers)
        checker = Checker(lives, answers, self.report.findings)
        for outbox in self._place.outboxes():
            checker.check_outbox(outbox)
        with podium.Client(self._server.address) as client:
            checker.check_rows(client)
        self._server.stop()
        audit = Audit(self._store)
        checker.check_store(audit)
        audit.close()
        self.report.take(checker, sum(slot.logged for slot in self._slots), answers)

    def _clean_up(self) -> None:
        for slot in self._slots:
            if not slot.has_failed and slot.lives:
                slot.kill()
        self._senders.kill()
        self._server.resume()
        self._server.stop()


def run(
    kills: int,
    rows: int,
    seed: int,
    *,
    plant: str | None = None,
    disk: Path | None = None,
) -> Report:
    """Kills so often while so many rows are logged, and more.

    Args:
        kills: How many processes are killed at least.
        rows: How many rows are logged at least.
        seed: What chance begins with.
        plant: The name of a defect of senders, which is shown after the kills.
        disk: A small file system for the outbox, which is filled up now and then.

    Raises:
        StalledError: It got no further: the run says nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        outbox = disk or Path(folder) / "outbox"
        outbox.mkdir(exist_ok=True)
        under_way = _Run(Path(folder), outbox, seed, plant, is_small=disk is not None)
        under_way.go(kills, rows)
        return under_way.report


def _on_a_small_disk(arguments: list[str]) -> int | None:
    """Runs the command with the outbox on a file system of its own; None: nobody may mount one."""
    with tempfile.TemporaryDirectory() as folder:
        probe = [*_MOUNT, folder, "true"]
        if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
            return None
        command = [*_MOUNT, folder, sys.executable, "-m", "tests.crash.chaos.run", *arguments]
        return subprocess.run([*command, "--disk", folder], cwd=_PROJECT, check=False).returncode


def main() -> int:
    """The command; 1: something is wrong, 2: too little happened to say so."""
    parser = argparse.ArgumentParser(description="Kills everything while results are recorded.")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument("--plant", choices=sorted(PLANTS))
    parser.add_argument("--disk", type=Path, help="a small file system, to be filled up")
    arguments = parser.parse_args()
    if arguments.disk is None:
        code = _on_a_small_disk([*sys.argv[1:], "--seed", str(arguments.seed)])
        if code is not None:
            return code
        sys.stdout.write("no full disk: this machine lets nobody mount a file system\n")
    sys.stdout.write(f"seed {arguments.seed}\n")
    sys.stdout.flush()
    report = run(
        arguments.kills,
        arguments.rows,
        arguments.seed,
        plant=arguments.plant,
        disk=arguments.disk,
    )
    sys.stdout.write(f"{report}\n")
    if report.findings.any:
        return 1
    too_little = report.too_little(arguments.kills, arguments.rows)
    if too_little:
        sys.stdout.write(f"that is too little to say anything: {', '.join(too_little)}\n")
    return 2 if too_little else 0


if __name__ == "__main__":
    sys.exit(main())
