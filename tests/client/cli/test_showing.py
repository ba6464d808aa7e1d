"""Tests of what `podium show` prints about experiments and arms."""

import podium as library

from tests.client.cli.asking import shown
from tests.client.cli.shell import podium


def test_show_experiment(address: str) -> None:
    """`podium show` prints those fields of an experiment that are set."""
    assert shown("show", "sweep", address=address) == (
        "  experiment      sweep\n"
        "  status          completed\n"
        "  hypothesis      Rank 4 is enough.\n"
        "  success metric  test.acc\n"
        "  direction       maximize\n"
        "  tags            lora\n"
        "  arms            3: 2 completed, 1 failed\n"
        "  metadata gpus   8\n"
        "  metadata owner  ana\n"
        "  created         TIME\n"
        "  updated         TIME, revision 4\n"
    )


def test_show_arm(address: str) -> None:
    """`podium show` prints the configuration of an arm, and the result of each of its evals."""
    assert shown("show", "sweep", "r4", address=address) == (
        "  arm               r4 of sweep\n"
        "  status            completed\n"
        "  group             small\n"
        "  tags              lora\n"
        "  config name       r4\n"
        '  config model      {"name": "qwen"}\n'
        '  config algorithm  {"kind": "sft", "params": {"rank": 4}}\n'
        "  config seed       0\n"
        "  training metrics  train/loss=0.25\n"
        "  eval metrics      acc=1.33333  ppl=nan  (test)\n"
        "  training time     1 h 02 min\n"
        "  eval time         1 min 01 s\n"
        "  created           TIME\n"
        "  updated           TIME, revision 3\n"
        "\n"
        "EVAL         ROWS  STEP  TAGS  METRICS\n"
        "val             3   100  val   acc=0.1\n"
        "test            1  post  test  acc=1.33333  ppl=nan\n"
        "b@x/gpt-4.1     1  post        acc=0.9\n"
    )


def test_show_provenance(address: str, name: str) -> None:
    """`podium show` prints the commit, command, host and versions of an arm's newest attempt."""
    origin = library.Provenance("c0ffee", None, ["x", "a b"], "node7", "3.12.4", {"torch": "2.9"})
    origin.git_clean = False
    with library.Client(address) as client:
        client.experiment(name).start_arm(library.RunConfig("a"), provenance=origin)
    fields = dict(
        line.strip().split("  ", 1)
        for line in shown("show", name, "a", address=address).splitlines()
    )
    assert {label: fields[label].strip() for label in ("git commit", "command", "host")} == {
        "git commit": "c0ffee, with uncommitted changes",
        "command": "x 'a b'",
        "host": "node7",
    }
    assert fields["versions"].strip() == "python 3.12.4, torch 2.9"


def test_an_arm_that_is_not_completed_shows_its_newest_row(address: str, name: str) -> None:
    """`podium arms` shows the newest in-loop row of a running or failed arm with its step.

    A post-training row is shown without a step.
    """
    with library.Client(address) as client:
        experiment = client.experiment(name)
        one, other = (experiment.start_arm(library.RunConfig(arm)) for arm in "ab")
        for step in (0, 1, 20):
            one.log_eval("val", {"acc": step / 8}, step=step)
            other.log_eval("val", {"acc": step / 8}, step=step)
        other.log_eval("test", {"acc": 0.5})
        lines = shown("arms", name, address=address).splitlines()
        assert [line.partition("TIME")[2].split(maxsplit=1) for line in lines[1:]] == [
            ["3", "acc=2.5  (val at step 20)"],
            ["4", "acc=0.5"],
        ]
        one.finish("failed", error="a bug")
        assert "acc=2.5  (val at step 20)" in shown("arms", name, address=address)
        one.finish()
        assert "acc=0" in shown("arms", name, address=address).splitlines()[1].split()


def test_show_artifacts(address: str, name: str) -> None:
    """`podium show` prints a line for each artifact of a run result.

    It also prints the other fields of the run result.
    """
    result = library.RunResult(
        "run7", "ok", {"loss": 0.5}, {"model": "s3://b/model", "log": "/data/log"}, extras={"n": 3}
    )
    arm = library.ArmResult("a", library.RunConfig("a"), "completed", run_result=result)
    with library.Client(address) as client:
        client.experiment(name).record_arm(arm)
    assert (
        "  artifacts           log: /data/log\n"
        "                      model: s3://b/model\n"
        "  run result run_id   run7\n"
        "  run result status   ok\n"
        '  run result metrics  {"loss": 0.5}\n'
        '  run result extras   {"n": 3}\n'
    ) in shown("show", name, "a", address=address)


def test_names_that_begin_with_a_dash(address: str, name: str) -> None:
    """After `--`, no argument is an option, even if an option stands before `--`."""
    with library.Client(address) as client:
        arm = client.experiment(name).start_arm(library.RunConfig("-x"))
        arm.log_eval("--json", {"acc": 0.5})
    for arguments in [
        ("score", "--", name, "-x", "--json.acc"),
        ("score", name, "--", "-x", "--json.acc"),
        ("score", "--timeout", "100", name, "--", "-x", "--json.acc"),
    ]:
        assert shown(*arguments, address=address) == "0.5\n"
    assert "--json" in shown("show", name, "--", "-x", address=address)
    done = podium("score", name, "--", "-x", "a.b", "--more", address=address)
    assert (done.code, done.out) == (2, "")
    assert "unrecognized arguments: --more" in done.err


def test_show_failed_arm(address: str) -> None:
    """`podium show` prints an error line by line, and escapes what would control the terminal."""
    assert (
        "  error             Traceback:\n"
        "                      File x\n"
        "                    Error: \\x1b[mno\n"
    ) in shown("show", "sweep", "r16", address=address)
