"""Tests of `podium sync`, which delivers waiting events and says what remains."""

import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium as library
import pytest
from podium._outbox import UNREACHABLE, SenderLock, SenderState, outbox_folder, streams
from podium.cli._exits import Exit
from podium.cli._outboxes import view_of
from podium.cli._syncing import Done
from podium_server.testing import running_server
from podium_server.testing.calls import row, started

from tests import zygote
from tests.client.cli.outbox_commands import rows, run, run_json, steps
from tests.client.cli.shell import PODIUM, on_terminal, podium
from tests.client.client.broken import closed_port
from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    rejected_events,
    running_sender,
    until,
    writer,
)

_PATIENT_SYNC = """
import sys
from dataclasses import replace
from podium.cli import _syncing, main
_syncing.FOREGROUND = replace(_syncing.FOREGROUND, patience_seconds=120)
sys.exit(main(["sync", sys.argv[1]]))
"""


def test_what_was_recorded_offline_is_delivered(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """`podium sync` delivers all waiting events, and prints its progress and a summary.

    After that, the outbox is empty.
    """
    dead_stream(outbox, name, started("a", "A", 1), *rows(2_500))
    done = run(root, "sync")
    assert done.code == 0
    assert done.out == f"2,501 events delivered to {address}\n"
    assert done.err.endswith("2,501 of 2,501 events delivered\n")
    assert steps(address, name) == list(range(2_500))
    assert streams(outbox) == []
    again = run(root, "sync")
    assert again == (0, "all recorded events are delivered\n", "")


def test_sync_names_values_that_are_not_stored(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """If a declaration gives a value, but the experiment keeps its own, sync shows both values."""
    with library.Client(address) as client:
        client.experiment(name).declare(success_metric="test.acc")
    other = library.events.experiment_declared(success_metric="test.loss", hypothesis="h")
    dead_stream(outbox, name, other, arm=None)
    notice = (
        f"experiment {name!r} keeps its success_metric 'test.acc': 'test.loss' was given "
        "and is not stored; record with overwrite=True to replace the value"
    )
    done = run(root, "sync")
    assert (done.code, done.out) == (0, f"1 event delivered to {address}\n")
    assert f"podium: {notice}\n" in done.err
    assert run(root, "sync").err == ""
    dead_stream(outbox, name, other, arm=None)
    [report] = run_json(root, "sync")
    assert report["notices"] == [notice]


def test_nothing_was_ever_recorded(tmp_path: Path) -> None:
    """If there is no folder of outboxes, there is no error."""
    done = run(tmp_path / "none", "sync")
    assert done == (0, "all recorded events are delivered\n", "")
    done = run(tmp_path / "none", "outbox")
    assert done == (0, "", "podium: no events are waiting or rejected\n")
    assert run_json(tmp_path / "none", "outbox") == []


def test_a_copied_folder_on_another_machine(root: Path, tmp_path: Path, name: str) -> None:
    """A copy of an outbox is delivered to the address that is given.

    Delivering the copy again, or the original after it, adds no rows.
    """
    elsewhere = outbox_folder(root, closed_port())
    dead_stream(elsewhere, name, started("a", "A", 1), *rows(5), host="gpu-node-7")
    shutil.copytree(root, tmp_path / "copy")
    shutil.move(tmp_path / "copy" / elsewhere.parent.name, tmp_path / "copy" / "gpu-node-7")
    with running_server() as server:
        with library.Client(server.address) as client:
            client.experiment(name).declare()
        given = ("--address", server.address)
        assert podium("sync", str(tmp_path / "copy"), *given, address=None).code == 0
        assert steps(server.address, name) == [0, 1, 2, 3, 4]
        assert podium("sync", str(tmp_path / "copy"), *given, address=None).out.startswith(
            "all recorded events are delivered"
        )
        done = run(root, "sync", *given)
        assert (done.code, steps(server.address, name)) == (0, [0, 1, 2, 3, 4])


def test_a_server_without_the_experiment(root: Path, outbox: Path, address: str, name: str) -> None:
    """If an outbox is sent to a server without the experiment, sync prints what to run."""
    with library.Client(address) as client:
        client.experiment(name).declare(hypothesis="h")
    dead_stream(outbox, name, started("a", "A", 1), *rows(5))
    with running_server() as server:
        given = ("--address", server.address)
        done = run(root, "sync", *given)
        declare = f"podium --address {server.address} declare {name}"
        export = f"podium --address {address} export {name}"
        record = f"podium --address {server.address} record -"
        assert done.code == 1
        assert (
            f"podium: {server.address} has no experiment {name!r}: `{declare}` creates it, and "
            f"`{export} | {record}` copies it with the results that {address} has. Then run "
            "`podium sync` again\n"
        ) in done.err
        exported = podium(*export.split()[1:]).out
        assert podium(*record.split()[1:], stdin=exported).code == 0
        assert run(root, "sync", *given).code == 0
        assert steps(server.address, name) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_copy_of_a_running_trainers_folder(
    root: Path, outbox: Path, tmp_path: Path, address: str, name: str
) -> None:
    """A copy of a running trainer's outbox can be delivered.

    The original then delivers the other events, and no row is stored twice.
    """
    stream = appended(writer(outbox, name), started("a", "A", 1), *rows(3))
    shutil.copytree(root, tmp_path / "copy")
    assert podium("sync", str(tmp_path / "copy"), address=None).code == 0
    assert steps(address, name) == [0, 1, 2]
    appended(stream, row("val", 3))
    stream.release()
    assert run(root, "sync").out == f"5 events delivered to {address}\n"
    assert steps(address, name) == [0, 1, 2, 3]


def test_a_server_that_does_not_answer(root: Path, name: str) -> None:
    """If no server answers, `podium sync` says how many events wait and why.

    The exit code is 3, and the events stay in the outbox.
    """
    address = closed_port()
    outbox = outbox_folder(root, address)
    dead_stream(outbox, name, started("a", "A", 1), *rows(3))
    done = run(root, "sync", patience=0.5)
    assert (done.code, done.out) == (3, f"0 events delivered to {address}\n")
    assert f"podium: 4 events wait: no Podium server answers at {address}" in done.err
    assert "safe to send" not in done.err
    assert run_json(root, "outbox")[0]["waiting"] == 4
    found = run(root, "outbox")
    assert f"{outbox}, for {address}: no sender runs\n" in found.out
    assert "no Podium server answers" in found.out


def test_waiting_and_rejected_events_are_reported(root: Path, outbox: Path, name: str) -> None:
    """Rejected and waiting events are reported with reasons, and the exit code is 1.

    A row that waits for its arm is delivered once the arm exists.
    """
    dead_stream(outbox, name, row("bench", name="late", metrics={"acc": 1}), arm="late")
    folder = dead_stream(outbox, name, started("a", "A", 1), row("", 1), *rows(2), arm="a")
    done = run(root, "sync")
    assert (done.code, done.out[:20]) == (1, "3 events delivered t")
    assert f"podium: 1 event waits: experiment '{name}' has no arm 'late'; " in done.err
    assert "podium: the server rejected 1 event: `podium outbox " in done.err
    assert rejected_events(folder) == [(2, "NAME_INVALID")]

    table = run(root, "outbox")
    late, bad = table.out.splitlines()[2:]
    assert "(ARM_NOT_FOUND)" in late
    assert "1 NAME_INVALID: eval_recorded.eval_result: name is empty" in bad

    dead_stream(outbox, name, started("late", "L", 1), arm="late")
    done = run(root, "sync")
    assert (done.code, done.out[:20]) == (1, "2 events delivered t")


def test_reasons_on_a_terminal(root: Path, outbox: Path, address: str, name: str) -> None:
    """On a narrow terminal, the whole reason is below its row, wrapped at spaces."""
    with library.Client(address) as client:
        config = library.RunConfig("a")
        client.experiment(name).declare()
        client.experiment(name).record_arm(library.ArmResult("a", config, "completed"))
        with client.experiment(name).start_arm(config, attempt_id="x", order=9, restart=True):
            pass
    dead_stream(outbox, name, started("a", "A", 10))
    run(root, "sync")
    reason = (
        "1 ARM_FINISHED: arm 'a' is completed. To train it again, start it with resume_step, which "
        "keeps its results up to that step, or with restart, which deletes its results. If this "
        "run has recorded results, they wait in its outbox: `podium outbox retry --as NAME` "
        "records them as another arm, and `podium outbox retry --restart` replaces the results of "
        "this arm"
    )
    shown = on_terminal("outbox", str(root), address=address, columns=60).out
    lines = shown.splitlines()
    assert max(map(len, lines[1:])) <= 60
    assert lines[1].endswith("REJECTED")
    assert reason in " ".join(line.strip() for line in lines[3:])
    assert reason in run(root, "outbox").out
    assert on_terminal("outbox", str(root / "none"), address=address).code == 2


def test_sync_reports_a_running_sender(root: Path, tmp_path: Path, name: str) -> None:
    """If a sender is delivering the outbox, `podium sync` says so.

    Meanwhile, a sync to another server is rejected. If the sender ends, `podium sync` delivers the
    events itself.
    """
    with running_server(f"sqlite:///{tmp_path / 'podium.db'}") as server:
        outbox = outbox_folder(root, server.address)
        with library.Client(server.address) as client:
            client.experiment(name).declare()
        dead_stream(outbox, name, started("a", "A", 1), *rows(100))
        server.process.send_signal(signal.SIGSTOP)
        with running_sender(outbox) as sender:
            until(SenderLock(outbox).is_held)
            refused = podium("sync", str(root), "--address", "localhost:1")
            assert (refused.code, "to another server" in refused.err) == (3, True)
            sync = zygote.start(
                [sys.executable, "-c", _PATIENT_SYNC, str(root)],
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert sync.stderr is not None
            assert "is delivering" in sync.stderr.readline()
            sender.kill()
            server.process.send_signal(signal.SIGCONT)
            out, _ = sync.communicate(timeout=120)
        assert sync.returncode == 0
        assert out == f"101 events delivered to {server.address}\n"
        assert steps(server.address, name) == list(range(100))


def test_a_new_address_while_a_sender_waits_for_the_old_one(
    root: Path, address: str, name: str
) -> None:
    """`--address` delivers to a new server, although a sender still waits for the old one."""
    outbox = outbox_folder(root, closed_port())
    folder = dead_stream(outbox, name, started("a", "A", 1), *rows(2))
    with running_sender(outbox) as sender:
        until(lambda: (state := SenderState.read(outbox)) and state.state == UNREACHABLE)
        done = podium("sync", str(root), "--address", address)
        assert done[:2] == (0, f"3 events delivered to {address}\n")
        assert sender.wait(120) == 0
    assert steps(address, name) == [0, 1]
    assert not folder.exists()


def _has_reason(folder: Path) -> bool:
    return view_of(folder).streams[0].why not in {"", "no sender runs"}


@pytest.mark.slow
def test_the_reason_of_a_sender_that_waits(root: Path, outbox: Path, name: str) -> None:
    """If a running sender delivers nothing, `podium sync` prints the reason.

    If the sender gives no reason, `podium sync` suggests to stop it.
    """
    away = outbox_folder(root, closed_port())
    dead_stream(away, name, started("a", "A", 1))
    dead_stream(outbox, name, row("val", 1, name="early"), arm="early")
    with running_sender(outbox) as sender, running_sender(away):
        for folder in (away, outbox):
            until(partial(_has_reason, folder))
        done = run(root, "sync", patience=0.5)
        assert (done.code, done.out.count("0 events delivered")) == (3, 2)
        assert "podium: 1 event waits: no Podium server answers at" in done.err
        assert f"podium: 1 event waits: experiment {name!r} has no arm 'early'" in done.err
        sender.send_signal(signal.SIGSTOP)
        until(lambda: "\nState:\tT" in Path(f"/proc/{sender.pid}/status").read_text())
        (outbox / "sender.json").unlink()
        said = run(root, "sync", patience=0.5).err
        assert "delivered nothing for 0.5 seconds and gave no reason; stop it" in said


def test_ctrl_c_ends_sync_without_a_message(root: Path, tmp_path: Path, name: str) -> None:
    """Ctrl-C ends `podium sync` without a message. The next `podium sync` delivers the events."""
    with running_server(f"sqlite:///{tmp_path / 'podium.db'}") as server:
        outbox = outbox_folder(root, server.address)
        with library.Client(server.address) as client:
            client.experiment(name).declare()
        dead_stream(outbox, name, started("a", "A", 1), *rows(3))
        server.process.send_signal(signal.SIGSTOP)
        sync = zygote.start([*PODIUM, "sync", str(root)], stderr=subprocess.PIPE, text=True)
        until((outbox / "sender.json").exists)  # its loop runs by then, and takes the signal
        sync.send_signal(signal.SIGINT)
        _, said = sync.communicate(timeout=120)
        assert (sync.returncode, said) == (130, "")
        server.process.send_signal(signal.SIGCONT)
        assert podium("sync", str(root)).code == 0
        assert steps(server.address, name) == [0, 1, 2]


def test_sync_prints_json(root: Path, outbox: Path, address: str, name: str) -> None:
    """With `--json`, `podium sync` prints an object for each outbox."""
    dead_stream(outbox, name, started("a", "A", 1), row("", 1))
    assert run_json(root, "sync") == [
        {
            "outbox": str(outbox),
            "address": address,
            "delivered": 1,
            "waiting": 0,
            "rejected": 1,
            "missing": 0,
            "error": None,
            "notices": [],
            "damaged": [],
        }
    ]


@pytest.mark.parametrize("left", [{"waiting": 1}, {"missing": 1}], ids=str)
def test_the_exit_code_if_events_wait_or_are_missing(outbox: Path, left: dict[str, Any]) -> None:
    """If events wait, or are missing on the server and in the outbox, the exit code is not 0."""
    done = Done(view_of(outbox), "here")
    assert done.exit == Exit.OK
    assert done._replace(**left).exit == Exit.NOTHING


@pytest.mark.parametrize(
    ("torn", "rejected", "code"),
    [([], [], Exit.OK), (["1.torn"], [], Exit.NOTHING), ([], ["event"], Exit.NOTHING)],
)
def test_the_exit_code_if_streams_are_kept(
    outbox: Path, torn: list[str], rejected: list[str], code: Exit
) -> None:
    """If events cannot be read, or the server has rejected them, the exit code is not 0."""
    stream: Any = SimpleNamespace(torn=torn, rejected_events=rejected)
    assert Done(view_of(outbox)._replace(streams=[stream]), "here").exit == code


@pytest.mark.slow
def test_outboxes_for_several_servers(root: Path, outbox: Path, address: str, name: str) -> None:
    """Each outbox is delivered to its own server.

    An outbox that fails, or has no valid address, does not stop the others.
    """
    dead_stream(outbox, name, started("a", "A", 1), *rows(2))
    away = closed_port()
    dead_stream(outbox_folder(root, away), name, *rows(1))
    dead_stream(outbox_folder(root, "nowhere"), name, *rows(1))
    done = run(root, "sync", patience=3)
    assert done.code == 3
    assert set(done.out.splitlines()) == {
        f"3 events delivered to {address}",
        f"0 events delivered to {away}",
        "0 events delivered to nowhere",
    }
    wrong = "an address is HOST:PORT or unix:PATH, such as 'nowhere:50051', not 'nowhere'"
    assert f"podium: 1 event waits: {wrong}; " in done.err
    assert f"podium: 1 event waits: no Podium server answers at {away}" in done.err
    assert run(root, "sync", "--address", "nowhere") == (2, "", f"podium: {wrong}\n")


def test_a_damaged_stream_is_reported(root: Path, outbox: Path, address: str, name: str) -> None:
    """A stream that cannot be read is kept and reported. Other streams are delivered."""
    dead_stream(outbox, name, started("a", "A", 1), *rows(2))
    folder = dead_stream(outbox, name, *rows(2))
    (folder / "stream.json").write_text("{}")
    done = run(root, "sync")
    assert (done.code, done.out) == (3, f"3 events delivered to {address}\n")
    assert f"podium: {folder} cannot be read: " in done.err
    assert f"podium: {folder} cannot be read: " in run(root, "outbox").err
    assert folder.exists()
