"""Tests of parts of the recorder that need no server, such as ranks, counts and warnings."""

import errno
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._outbox import IDLE, THROTTLED, UNREACHABLE, SenderLock, SenderState
from podium._recorder import last_words, launch_sender, stream_order
from podium._recorder.counts import Counters, Flushed
from podium._recorder.disk_errors import is_lasting
from podium._recorder.problems import Problems, Target
from podium._recorder.process_rank import Rank, process_rank
from podium._recorder.warnings import RecorderWarnings

from tests.each import each


@pytest.mark.parametrize(
    "number",
    [
        *(errno.EACCES, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.ENODEV, errno.ENOENT, errno.ENOLCK, errno.ENOSYS, errno.ENOTDIR, errno.EPERM),
        *(errno.EOPNOTSUPP, errno.EROFS),
    ],
    ids=errno.errorcode.get,
)
def test_an_error_that_lasts(number: int) -> None:
    """An error such as EACCES counts as lasting: waiting does not make the folder writable."""
    assert is_lasting(OSError(number, "broken"))


@each("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE])
def test_an_error_that_passes(number: int) -> None:
    """An error such as ENOSPC does not count as lasting: a full disk can have room again."""
    assert not is_lasting(OSError(number, "for now"))


def test_an_error_of_the_arguments_lasts() -> None:
    """The error of an invalid path, such as one with a NUL, counts as lasting."""
    assert is_lasting(ValueError("embedded null byte"))


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, None),
        ({"RANK": ""}, None),
        ({"RANK": "first"}, None),
        ({"RANK": "-1"}, None),
        ({"RANK": "0"}, Rank(0, "RANK")),
        ({"SLURM_PROCID": " 3\n"}, Rank(3, "SLURM_PROCID")),
        ({"RANK": "1", "SLURM_PROCID": "3"}, Rank(1, "RANK")),
    ],
)
def test_the_rank_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], rank: Rank | None
) -> None:
    """RANK precedes SLURM_PROCID, because torchrun starts several ranks in one Slurm task."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert process_rank() == rank


@pytest.mark.parametrize(
    ("is_available", "is_initialized", "rank"),
    [
        (True, True, Rank(2, "torch.distributed")),
        (True, False, Rank(1, "RANK")),
        (False, True, Rank(1, "RANK")),
    ],
)
def test_the_rank_of_torch(
    monkeypatch: pytest.MonkeyPatch, *, is_available: bool, is_initialized: bool, rank: Rank
) -> None:
    """The rank of torch.distributed counts if that package is available and initialized."""
    distributed = SimpleNamespace(
        is_available=lambda: is_available,
        is_initialized=lambda: is_initialized,
        get_rank=lambda: 2,
    )
    monkeypatch.setitem(sys.modules, "torch.distributed", distributed)
    monkeypatch.setenv("RANK", "1")
    assert process_rank() == rank


def test_counts_of_several_streams() -> None:
    """Counters of several streams are added up, except that only the longest lag is kept."""
    total = Counters(1, 2, 3, 4, 5.0, 6) + Counters(10, 20, 30, 40, 2.0, 60)
    assert total == Counters(11, 22, 33, 44, 5.0, 66)


@each("lost", ["pending", "rejected", "dropped", "incomplete"])
def test_what_is_not_durable(lost: str) -> None:
    """`durable` is False if an event is pending, rejected or dropped, or a call is incomplete."""
    whole: dict[str, Any] = {
        "delivered": 9,
        "pending": 0,
        "rejected": 0,
        "dropped": 0,
        "synced": True,
    }
    assert Flushed(**whole).durable
    assert not Flushed(**whole | {lost: 1}).durable


# ---- What the sender has written -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "next_try", "reached", "or_throttled"),
    [
        (UNREACHABLE, 0.0, "no server", "no server"),
        (UNREACHABLE, None, "no server", "no server"),
        (UNREACHABLE, -4.0, "no server", "no server"),
        (UNREACHABLE, -6.0, None, None),
        (THROTTLED, 0.0, None, "no server"),
        (IDLE, None, None, None),
    ],
)
def test_why_the_sender_cannot_deliver(
    tmp_path: Path,
    state: str,
    next_try: float | None,
    reached: str | None,
    or_throttled: str | None,
) -> None:
    """`unreachable` returns why a sender cannot deliver, as the status of the sender says.

    If the next retry is over five seconds late, the sender has ended, and `unreachable` returns
    None. It returns the reason of a throttled sender only with `or_throttled`.
    """
    when = None if next_try is None else time.time() + next_try
    SenderState(1, "here:1", state, "no server (UNAVAILABLE)", next_try=when).write(tmp_path)
    assert launch_sender.unreachable(tmp_path) == reached
    assert launch_sender.unreachable(tmp_path, or_throttled=True) == or_throttled


def test_the_start_of_a_sender(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sender starts in a session of its own, with the outbox as its working folder.

    Paths in its environment are absolute, and only the user can read its log.
    """
    given: dict[str, Any] = {}

    def run(command: list[str], **found: Any) -> None:
        given.update(found, command=command)

    monkeypatch.setattr(launch_sender, "_run_process", run)
    for name in ("PODIUM_TLS_CA", "PODIUM_TLS_CERT", "PODIUM_TLS_KEY", "PODIUM_TOKEN_FILE"):
        monkeypatch.setenv(name, f" secrets/{name}\n")
    monkeypatch.setenv("PYTHONPATH", "libs:/libs")
    launch_sender.start_sender(tmp_path)
    # With -P, modules in the working folder cannot hide standard modules.
    module = ["-P", "-m", "podium._sender.detached", str(tmp_path)]
    assert given["command"] == [sys.executable, *module]
    here = Path.cwd()
    for name in ("PODIUM_TLS_CA", "PODIUM_TLS_CERT", "PODIUM_TLS_KEY", "PODIUM_TOKEN_FILE"):
        assert given["env"][name] == str(here / "secrets" / name)
    assert given["env"]["PYTHONPATH"].split(":")[1:] == [str(here / "libs"), "/libs"]
    assert (given["cwd"], given["start_new_session"], given["check"]) == (tmp_path, True, True)
    assert (tmp_path / "sender.log").stat().st_mode & 0o777 == 0o600


def test_pauses_between_starts_of_a_sender(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While each sender ends at once, the pauses between starts grow up to 60 s.

    Once a sender has run, the pauses are short again.
    """
    now, starts, runs = 0.0, [], False
    monkeypatch.setattr(launch_sender, "start_sender", lambda _outbox: starts.append(now))
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(SenderLock, "is_held", lambda _lock: runs)
    notices = RecorderWarnings(is_strict=False)
    starter = launch_sender.SenderStarter(notices)

    def pass_to(end: float) -> list[float]:
        nonlocal now
        starts.clear()
        while now < end:
            starter.assure(tmp_path)
            starter.wait()
            now += 1.0
        return list(starts)

    assert pass_to(320.0) == [0.0, 2.0, 6.0, 14.0, 30.0, 62.0, 122.0, 182.0, 242.0, 302.0]
    runs = True
    assert pass_to(400.0) == []
    runs = False
    assert pass_to(410.0) == [400.0, 402.0, 406.0]


def test_three_starts_without_a_running_sender_cause_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three starts in a row without a running sender cause a warning. Two do not."""
    monkeypatch.setattr(launch_sender, "start_sender", lambda _outbox: None)
    monkeypatch.setattr(launch_sender, "_FIRST_DELAY", 0.0)
    runs = iter([False, False, True, False, False, True, False, False, False])
    monkeypatch.setattr(SenderLock, "is_held", lambda _lock: next(runs))
    starter = launch_sender.SenderStarter(RecorderWarnings(is_strict=False))
    starter._delay = 0.0
    for _ in range(8):
        starter.assure(tmp_path)
        starter.wait()
        starter._next = 0.0
    assert "it ends immediately" not in caplog.text
    starter.assure(tmp_path)
    assert "it ends immediately; see its log" in caplog.text


# ---- Warnings ------------------------------------------------------------------------------------


@pytest.fixture
def _no_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "_pending_later", {})


@pytest.mark.usefixtures("_no_pending")
def test_events_that_are_left_at_several_ends(tmp_path: Path) -> None:
    """The first recorder that closes warns of its pending events.

    At the end of the process, one warning counts the pending events of the recorders that closed
    later.
    """
    outlet: Any = SimpleNamespace(folder=tmp_path, why_pending=lambda: "no server")
    said = [list(last_words.last_words("x", outlet, Counters(pending=n))) for n in (1, 2, 3)]
    assert [len(lines) for lines in said] == [1, 0, 0]
    assert said[0][0].startswith("1 event of 'x' is not delivered yet (no server): it waits in ")
    [line] = last_words.postponed_words()
    assert line.startswith("5 events of 'x' are not delivered yet (in addition to the events")
    assert list(last_words.postponed_words()) == []


@pytest.mark.usefixtures("_no_pending")
@pytest.mark.parametrize(
    ("counters", "lines"),
    [
        (Counters(delivered=3), []),
        (
            Counters(rejected=1),
            ["1 event was rejected and stays in the outbox: see `podium outbox`"],
        ),
        (
            Counters(rejected=2),
            ["2 events were rejected and stay in the outbox: see `podium outbox`"],
        ),
        (Counters(dropped=1), ["1 event is lost"]),
        (Counters(dropped=2), ["2 events are lost"]),
    ],
)
def test_last_words(counters: Counters, lines: list[str]) -> None:
    """Rejected events and lost events are each reported in one line with their number."""
    outlet: Any = SimpleNamespace(folder=None, why_pending=lambda: "")
    assert list(last_words.last_words("x", outlet, counters)) == lines


def test_a_summary_counts_from_the_last_one() -> None:
    """A summary counts the warnings that were repeated since the last summary.

    It names the first 20 kinds, and at most ten arms of each kind.
    """
    notices = RecorderWarnings(is_strict=False)
    for number in range(23):
        for arm in range(13):
            notices.say(f"kind {number:02}", "text", Target("x", f"a{arm:02}"))
    first, *others = notices.summary()
    arms = ", ".join(f"'a{number:02}'" for number in range(1, 11))
    assert first == f"kind 00: 12 more times, in arms {arms}, others"
    assert (len(others), others[-1]) == (20, "3 more problems occurred again")
    assert notices.summary() == []
    notices.say("kind 07", "text", Target("x", "a00"))
    assert notices.summary() == ["kind 07: 1 more time, in arm 'a00'"]


def test_the_memory_of_warnings_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the limit of kinds, all new kinds of warnings count as one kind."""
    monkeypatch.setattr("podium._recorder.warnings._MOST_KINDS", 2)
    notices = RecorderWarnings(is_strict=False)
    for number in range(6):
        notices.say(f"kind {number}", f"text {number}")
    assert [record.args for record in caplog.records] == [("", f"text {n}") for n in range(3)]
    assert notices.summary() == ["other problems: 3 more times"]


def test_a_warning_names_at_most_200_problems(caplog: pytest.LogCaptureFixture) -> None:
    """A warning about a call names at most 200 problems, and counts the others."""
    problems = Problems()
    for number in range(203):
        problems.changed(f"field {number}", f"text {number}")
    RecorderWarnings(is_strict=False).report("log", Target("x", "a"), problems)
    assert caplog.text.count("text ") == 200
    assert "text 199; and 3 more" in caplog.text


def test_recorders_of_one_experiment_share_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders share a `StreamOrder` only if experiment, process, outbox and server are equal."""
    monkeypatch.setattr(stream_order, "_orders", {})
    monkeypatch.setattr("os.getpid", lambda: 1)
    places = [("a", "/outbox", "host:1"), ("b", "/outbox", "host:1"), ("a", "/other", "host:1")]
    settings: list[Any] = [
        SimpleNamespace(experiment=name, root=Path(root), address=address)
        for name, root, address in [*places, ("a", "/outbox", "host:2")]
    ]
    orders = [stream_order.stream_order(each) for each in settings]
    assert [stream_order.stream_order(each) for each in settings] == orders
    monkeypatch.setattr("os.getpid", lambda: 2)
    orders += [stream_order.stream_order(each) for each in settings]
    assert len({id(order) for order in orders}) == 8
