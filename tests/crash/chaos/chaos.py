"""Kills trainers, senders and the server, and checks the results afterwards."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import podium

from tests.crash.chaos.actors import Disk, Place, Senders, Slot
from tests.crash.chaos.audit import Audit, begin_audit
from tests.crash.chaos.checker import Checker
from tests.crash.chaos.report import Report
from tests.crash.chaos.sending import ANSWERS, PLANT, read_answers
from tests.crash.chaos.tearing import ASKED, REACHED
from tests.crash.chaos.training import EVALUATOR, RESUMED, TRAINER
from tests.crash.durability.kills import KillableServer, StalledError

__all__ = ["Chaos"]

_PROJECT = Path(__file__).parents[3]
_PLANTED = Path(__file__).with_name("planted")
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
_PROGRESS_SECONDS = 5.0


class Chaos:
    """One run: its processes, and the actions that disturb them."""

    def __init__(
        self,
        folder: Path,
        outbox: Path,
        seed: int,
        plant: str | None,
        time_out: threading.Event,
        *,
        is_small: bool,
    ) -> None:
        self._time_out = time_out
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
        }
        self._show_defect = show.get(plant)
        self._doing = "recording"
        self.report = Report(seed)

    def _environment(self, plant: str | None) -> dict[str, str]:
        path = [str(_PLANTED), str(_PROJECT), os.environ.get("PYTHONPATH", "")]
        said = {
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            ANSWERS: str(self._answers),
            PLANT: plant or "",
        }
        return {name: value for name, value in os.environ.items() if name not in _UNSET} | said

    # ---- Recording and kills -----------------------------------------------------------------

    def go(self, kills: int, rows: int) -> None:
        """Kills processes while rows are logged, then delivers all events and checks everything."""
        started = time.monotonic()
        try:
            with _repeated(lambda: self._tell_progress(started)):
                self._happen(kills, rows)
                self._end()
                self.report.seconds = time.monotonic() - started
                self._check()
        finally:
            self._clean_up()

    def _happen(self, kills: int, rows: int) -> None:
        """Kills processes until there are enough kills and rows.

        If a StalledError is raised, its text becomes a finding.
        """
        with podium.Client(self._server.address) as client:
            for name in (TRAINER, RESUMED):
                client.experiment(f"chaos/{name}").declare()
        for slot in self._slots:
            self._start(slot)
        try:
            while self.report.kills < kills and not self._time_out.is_set():
                self._wait_for_rows(rows * self.report.kills // kills)
                time.sleep(self._random.uniform(0, _LONGEST_PAUSE))
                self._disturb()
            # Random kills alone would tear no record in some runs.
            self._kill_within_a_record()
            if self._show_defect is not None:
                self._show_defect()
            self._wait_for_rows(rows)
        except StalledError as error:
            self.report.findings.note(str(error))

    def _tell_progress(self, started: float) -> None:
        seconds, kills = time.monotonic() - started, self.report.kills
        sys.stderr.write(f"{seconds:4.0f} s: {kills} kills, {self._logged} rows, {self._doing}\n")

    @property
    def _logged(self) -> int:
        return sum(slot.logged for slot in self._slots)

    def _start(self, slot: Slot) -> None:
        calm = self._slots[0]
        slot.start(calm.arm(len(calm.lives)) if slot is self._slots[-1] else None)

    def _wait_for_rows(self, rows: int) -> None:
        """Waits until this number of rows was logged, or until the time limit of the run.

        Raises StalledError if no row was logged for minutes, or if a process ended by itself.
        """
        seen, changed = -1, time.monotonic()
        while (now := self._logged) < rows and not self._time_out.is_set():
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
            # A kill could lose the start of its arm. The arm's evaluator would then wait for ever.
            slot = self._slots[1]
        slot.kill()
        self.report.trainer_kills += 1
        self._start(slot)

    def _kill_sender(self) -> None:
        """Kills a sender. In half of the cases, starts the next one at once."""
        self.report.sender_kills += self._senders.kill(self._random)
        if self._random.random() < 0.5:
            self._senders.start()

    def _kill_server(self) -> None:
        """Kills the server after a random number of answers, or after four seconds."""
        answers = self._good_answers() + self._random.randint(1, _MOST_ANSWERS)
        self._wait(lambda: self._good_answers() >= answers, _LONGEST_WAIT)
        time.sleep(self._random.uniform(0, _MOMENT))
        self.report.server_kills += self._server.kill_and_start(self._random)

    def _kill_before_an_answer(self) -> None:
        """Kills the server while it holds answers to calls. Waits until one call is sent again."""
        self._server.kill_at_the_moment()
        self.report.server_kills += 1
        # The call gets no answer only after the client itself has repeated it for a while.
        self._wait_for(lambda: self._first_unknown() is not None)
        self._server.start()
        self._wait_for(self._is_resent)

    def _first_unknown(self) -> int | None:
        """Returns the index of the first call that was held and got no answer, or None."""
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
        """Waits until the server has rejected a row, because its arm does not exist yet."""
        self._wait_for(lambda: any(one.error == _EARLY for one in read_answers(self._answers)))

    def _kill_within_a_record(self) -> None:
        """Kills the process with the slow writer when it has written half of a record."""
        asked, reached = self._place.ledgers / ASKED, self._place.ledgers / REACHED
        asked.touch()
        self._wait_for(reached.exists)
        asked.unlink()
        self._kill_slot(self._slots[1])

    def _wait_for(self, event: Callable[[], bool]) -> None:
        """Waits for the event that shows a defect. Raises StalledError after minutes."""
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
        """Makes the server hang. Meanwhile, starts a newer attempt of an arm, or kills a sender."""
        self._server.pause()
        self.report.stalls += 1
        time.sleep(self._random.uniform(*_STALL_SECONDS))
        if self._random.random() < 0.7:
            resumed = self._slots[2]
            self._kill_slot(resumed)
            self._wait(lambda: resumed.has_begun, _STALL_SECONDS[1])
            # So the older attempt's rows come after the newer one's start, and are rejected.
            self.report.sender_kills += self._senders.kill()
        else:
            self._kill_sender()
        self._server.resume()

    def _fill(self, disk: Disk) -> None:
        """Fills the disk for a moment. In half of the cases, kills a process meanwhile."""
        disk.fill()
        time.sleep(self._random.uniform(*_FULL_SECONDS))
        if self._random.random() < 0.5:
            self._random.choice((self._kill_slot, self._kill_sender))()
        disk.free()
        self.report.full_disks += 1

    # ---- Delivery and checks -----------------------------------------------------------------

    def _end(self) -> None:
        """Ends all processes without kills, and delivers the remaining events.

        Before that, waits until each arm with an evaluator has started.
        """
        if self._disk is not None:
            # On a full disk, the start of the last arm would be lost, and its evaluator would wait.
            # Rejected events stay in the outbox, and may need more room than the disk has.
            self._disk.grow()
        calm = self._slots[0]
        for life in range(2):
            self._wait(_logs_more(calm), _STALLED_SECONDS)
            calm.stop()
            if not life:
                self._start(calm)
        for slot in self._slots[1:]:
            slot.stop()
        self._doing = "podium sync"
        self._sync()
        self._doing = "checks"

    def _sync(self) -> None:
        for root in self._place.roots:
            if root.exists():
                self._sync_root(root)

    def _sync_root(self, root: Path) -> None:
        command = [sys.executable, "-m", "podium", "sync", str(root), "--json"]
        result = "it takes too long"
        for _ in range(_SYNCS):
            self._senders.kill()
            try:
                done = subprocess.run(
                    command,
                    cwd=_PROJECT,
                    env=self._place.environment,
                    capture_output=True,
                    text=True,
                    timeout=_SYNC_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                # The next `podium sync` continues the delivery.
                continue
            result = f"{done.stdout}{done.stderr}"
            if '"waiting": 0' in done.stdout:
                return
        self.report.findings.note(f"podium sync of {root} leaves events: {result[-3_000:]}")

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
        self.report.take(checker, self._logged, answers)

    def _clean_up(self) -> None:
        for slot in self._slots:
            if not slot.has_failed and slot.lives:
                slot.kill()
        self._senders.kill()
        self._server.resume()
        self._server.stop()


def _logs_more(slot: Slot) -> Callable[[], bool]:
    """Returns a function that tells whether a process has logged ten more rows, or has ended.

    The start of its arm is then in the outbox, not only in memory.
    """
    before = slot.logged
    return lambda: (slot.has_begun and slot.logged >= before + 10) or slot.has_failed


@contextmanager
def _repeated(action: Callable[[], None]) -> Iterator[None]:
    """Calls a function every few seconds, in a thread, during the block."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(_PROGRESS_SECONDS):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
