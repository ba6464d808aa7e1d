"""Tests of `podium watch`: lines in a pipe, JSON for programs, a table on a terminal."""

import json
import os
import pty
import shlex
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import podium as library
import pytest
from podium_server.testing import running_server

from tests import zygote
from tests.client.cli.shell import PODIUM, podium

_SECONDS = 120


@pytest.fixture
def arm(address: str, name: str) -> Iterator[library.ArmRun]:
    """Yields a running arm with a row, in an experiment that no other test uses."""
    with library.Client(address) as client:
        run = client.experiment(name).start_arm(library.RunConfig("rank4"))
        run.log({"loss": 0.5}, step=1)
        run.log_eval("val", {"acc": 0.25}, step=10)
        yield run


def _environment(address: str) -> dict[str, str]:
    # pytest-xdist sets the size, which Python prefers to that of a terminal.
    sizes = {"COLUMNS", "LINES"}
    kept = {name: value for name, value in os.environ.items() if name not in sizes}
    return {**kept, "PODIUM_ADDRESS": address, "TERM": "xterm", "PYTHONUTF8": "1"}


@contextmanager
def _ending(command: subprocess.Popen[Any]) -> Iterator[None]:
    """Kills a command at the end of the block, even if the block fails.

    Otherwise, leaving the block of `Popen` would wait for the end of the command.
    """
    try:
        yield
    finally:
        command.kill()


@contextmanager
def _watched(address: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs `podium watch` with its output piped, and kills it at the end of the block."""
    with zygote.start(
        [*PODIUM, "watch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(address),
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def _line(command: subprocess.Popen[str]) -> str:
    assert command.stdout is not None
    return command.stdout.readline().rstrip("\n")


def test_lines_in_a_pipe(address: str, name: str, arm: library.ArmRun) -> None:
    """`podium watch` prints a line for each arm and each row that changes.

    The command ends when the experiment is deleted.
    """
    with _watched(address, name) as command, library.Client(address) as client:
        assert _line(command) == "revision 4: rank4 running loss=0.5"
        assert _line(command) == "revision 4: rank4 val@10 acc=0.25"
        arm.log_eval("test", {"acc": 1})
        assert _line(command) == "revision 5: rank4 running loss=0.5"
        assert _line(command) == "revision 5: rank4 test@post acc=1"
        client.arm(name, "rank4").delete()
        assert _line(command) == "revision 6: rank4 removed"
        client.experiment(name).delete()
        out, err = command.communicate(timeout=_SECONDS)
        assert (command.returncode, out) == (1, "")
        assert err == f"podium: experiment {name!r} was deleted\n"


def test_the_command_ends_with_its_reader(address: str, name: str, arm: library.ArmRun) -> None:
    """`podium watch` ends when its reader closes the pipe, even if nothing changes."""
    assert arm.experiment == name
    with _watched(address, name) as command:
        assert _line(command).endswith("loss=0.5")
        assert command.stdout is not None
        command.stdout.close()
        assert command.wait(_SECONDS) == 141


def test_series_in_a_pipe(address: str, name: str, arm: library.ArmRun) -> None:
    """With `--series`, each changed step of the named series is a line."""
    with _watched(address, name, "--no-evals", "--series", "loss") as command:
        assert _line(command) == "revision 4: rank4 running loss=0.5"
        assert _line(command) == "revision 4: rank4 step 1 loss=0.5"
        arm.log({"loss": 0.25, "lr": 1}, step=2)
        assert _line(command) == "revision 5: rank4 running loss=0.25  lr=1"
        assert _line(command) == "revision 5: rank4 step 2 loss=0.25"


@pytest.mark.parametrize(
    ("metric", "lines"),
    [
        ("val.acc", ["rank4 running", "rank4 val@10 acc=0.25"]),
        ("acc", ["rank4 running", "rank4 val@10 acc=0.25"]),
        ("loss", ["rank4 running loss=0.5", "rank4 step 1 loss=0.5"]),
        ("test.acc", ["rank4 running"]),
    ],
)
def test_one_metric_in_a_pipe(
    address: str, name: str, arm: library.ArmRun, metric: str, lines: list[str]
) -> None:
    """With `--metric`, the lines have only values of this metric."""
    arm.log({"lr": 1})
    with _watched(address, name, "--metric", metric) as command:
        assert [_line(command) for _ in lines] == [f"revision 5: {line}" for line in lines]
        arm.finish()
        assert _line(command).startswith("revision 6: rank4 completed")


def test_a_metric_for_json(address: str, name: str) -> None:
    """`--metric` with `--json` is an error, because `--json` shows all metrics."""
    done = podium("watch", name, "--json", "--metric", "val.acc", address=address)
    assert (done.code, done.out) == (2, "")
    assert done.err == "podium: --json shows all metrics, so it takes no --metric\n"


def test_a_closed_output(address: str, name: str, arm: library.ArmRun) -> None:
    """If stdout is closed, `podium watch` ends at once."""
    assert arm.experiment == name
    watch = shlex.join([*PODIUM, "watch", name])
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {watch} >&-"],
        env=_environment(address),
        stderr=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    expected = "podium: the output cannot be written: it is closed\n"
    assert (done.returncode, done.stderr) == (3, expected)


def test_json_for_programs(address: str, name: str, arm: library.ArmRun) -> None:
    """With `--json`, each update is a line, and a later command can continue after it.

    A deletion is an update, too.
    """
    with _watched(address, name, "--json", "--status", "running") as command:
        first = json.loads(_line(command), parse_constant=pytest.fail)
        assert first["series"] == []
        assert [item["arm"]["name"] for item in first["arms"]] == ["rank4"]
        assert [item["eval_result"]["metrics"] for item in first["evals"]] == [{"acc": 0.25}]
        assert (first["marker"]["revision"], first["is_reset"]) == (4, False)
        arm.finish()
        last = json.loads(_line(command))
        assert last["removals"] == [{"arm": "rank4", "name": None, "step": None}]
    revision, epoch = last["marker"]["revision"], last["marker"]["epoch"]
    place = ["--after", str(revision), "--epoch", epoch]
    with _watched(address, name, "--json", *place) as command, library.Client(address) as client:
        arm.log_eval("late", {"acc": 0.5})
        # The first update has no rows if it was sent before the row was recorded.
        found = json.loads(_line(command))
        while not found["evals"]:
            found = json.loads(_line(command))
        assert [item["eval_result"]["name"] for item in found["evals"]] == ["late"]
        client.experiment(name).delete()
        assert (found["is_deleted"], json.loads(_line(command))["is_deleted"]) == (False, True)


@pytest.mark.parametrize(("options", "score"), [((), "0.25"), (("--metric", "loss"), "0.5")])
def test_a_table_on_a_terminal(
    address: str, name: str, arm: library.ArmRun, options: tuple[str, ...], score: str
) -> None:
    """On a terminal, `podium watch` ranks the arms by the success metric, or by `--metric`."""
    with library.Client(address) as client:
        client.experiment(name).declare(success_metric="val.acc", overwrite=True)
        terminal, its_end = pty.openpty()
        with zygote.start(
            [*PODIUM, "watch", name, *options],
            stdout=its_end,
            stderr=its_end,
            env=_environment(address),
        ) as command:
            os.close(its_end)
            shown = b""
            while b"running" not in shown:
                shown += os.read(terminal, 4096)
            assert arm.experiment == name
            client.experiment(name).delete()
            try:
                while chunk := os.read(terminal, 4096):
                    shown += chunk
            except OSError:  # Linux: the last process has closed the terminal
                pass
            assert command.wait(_SECONDS) == 1
        os.close(terminal)
    text = shown.decode()
    assert "RANK" in text
    assert ["1", "rank4", "running", score, "▄", "1"] in [
        line.split()[:6] for line in text.splitlines()
    ]


def _frames(shown: bytes) -> list[list[str]]:
    """Returns the lines of each drawing of the table."""
    return [frame.split("\r\n") for frame in shown.decode(errors="replace").split("\x1b[H\x1b[J")]


@pytest.mark.slow
def test_a_table_on_a_small_terminal() -> None:
    """The table fits the terminal, and says if the server does not answer.

    The message disappears when the server answers again.
    """
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (8, 60))
    long = "x" * 200
    with running_server() as server, library.Client(server.address) as client:
        experiment = client.experiment(long)
        experiment.declare(success_metric="val.acc")
        for number in range(20):
            run = experiment.start_arm(library.RunConfig(f"{long}{number}"))
            run.log_eval("val", {"acc": number}, step=1)
        command = [*PODIUM, "watch", long]
        environment = _environment(server.address)
        with (
            zygote.start(command, stdout=its_end, stderr=its_end, env=environment) as watching,
            _ending(watching),
        ):
            shown = b""
            while shown.count(b"running") < 5:
                shown += os.read(terminal, 4096)
            lines = _frames(shown)[-1]
            assert all(len(line) <= 60 for line in lines)
            assert lines[0].endswith("…, revision 41, 20 arms, 15 more below")
            assert lines[1].split() == ["RANK", "ARM", "STATUS", "SCORE", "CURVE", "EVALS", "…"]
            assert "xxxxxxxxxxxx…" in lines[2]
            assert [line.split()[0] for line in lines[2:7]] == ["1", "2", "3", "4", "5"]
            server.process.send_signal(signal.SIGSTOP)
            while b"no answer from the server for" not in shown:
                shown += os.read(terminal, 4096)
            server.process.send_signal(signal.SIGCONT)
            run.log_eval("val", {"acc": 100}, step=2)
            while _frames(shown)[-1][0].startswith("no answer") or b"100" not in shown:
                shown += os.read(terminal, 4096)
    os.close(its_end)
    os.close(terminal)


@pytest.mark.slow
def test_a_table_on_a_resized_terminal() -> None:
    """A resize draws the table again with the new width, even if the server does not answer."""
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (20, 40))
    with running_server() as server, library.Client(server.address) as client:
        client.experiment("x").declare()
        client.experiment("x").start_arm(library.RunConfig("rank4")).log({"loss": 0.5})
        with (
            zygote.start(
                [*PODIUM, "watch", "x"],
                stdout=its_end,
                stderr=its_end,
                env=_environment(server.address),
            ) as command,
            _ending(command),
        ):
            shown = b""
            while b"rank4" not in shown:
                shown += os.read(terminal, 4096)
            assert b"TRAINING METRICS" not in shown
            server.process.send_signal(signal.SIGSTOP)
            termios.tcsetwinsize(its_end, (20, 120))
            command.send_signal(signal.SIGWINCH)
            while b"TRAINING METRICS" not in shown:
                shown += os.read(terminal, 4096)
    os.close(its_end)
    os.close(terminal)
