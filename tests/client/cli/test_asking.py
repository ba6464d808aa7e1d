"""Tests of the output of commands that read results: tables, plain numbers and JSON."""

import json
import re
from pathlib import Path

import podium as library
import pytest
from podium._files import json_form

from tests.client.cli.asking import read, shown
from tests.client.cli.shell import podium


def test_experiments(address: str) -> None:
    """`podium experiments` prints a table of experiments with their arms, metric and tags."""
    assert shown("experiments", "--prefix", "sweep", address=address) == (
        "EXPERIMENT  STATUS     ARMS  DONE  FAILED  SUCCESS METRIC  UPDATED  TAGS\n".replace(
            "UPDATED", "UPDATED             "
        )
        + "sweep       completed     3     2       1  test.acc        TIME  lora\n"
    )


def test_arms(address: str) -> None:
    """`podium arms` prints arms in the order of their creation.

    Of an error, only the last line is shown.
    """
    assert shown("arms", "sweep", address=address) == (
        "ARM  STATUS     GROUP  EVALS  "
        "EVAL METRICS                ERROR            TRAINING METRICS\n"
        "r1   completed  small      5  "
        "acc=0.333333  ppl=nan                        train/loss=1\n"
        "r4   completed  small      5  "
        "acc=1.33333  ppl=nan                         train/loss=0.25\n"
        "r16  failed                3  "
        "acc=0.1  (val at step 100)  Error: \\x1b[mno  train/loss=0.0625\n"
    )


def test_format_characters_are_escaped(address: str, name: str) -> None:
    """Characters that only control how text is shown are printed as escapes.

    A long error is cut.
    """
    with library.Client(address) as client:
        config = library.RunConfig("a\u202eb\u2066c\u2028d")
        arm = library.ArmResult(config.name, config, "failed", error="E: " + "x" * 9_000)
        client.experiment(name).record_arm(arm)
    assert shown("arms", name, address=address).splitlines()[1] == (
        "a\\u202eb\\u2066c\\u2028d  failed      0  E: " + "x" * 196 + "…"
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("--status failed", ["r16"]),
        ("--status failed --status completed", ["r1", "r4", "r16"]),
        ("--group small", ["r1", "r4"]),
        ("--prefix r1", ["r1", "r16"]),
        ("--tag lora", ["r4", "r16"]),
        ("--tag lora --tag x", []),
        ("--limit 2", ["r1", "r4"]),
    ],
)
def test_arms_are_filtered(address: str, filters: str, expected: list[str]) -> None:
    """The options of `podium arms` filter the arms, and `--limit` bounds their number."""
    arms = read("arms", "sweep", *filters.split(), address=address)
    assert [arm["name"] for arm in arms] == expected


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--config", f"seed={2**63}"], 2),
        (["--config", "seed=" + "9" * 5_000], 2),
        (["--config", "seed=[9223372036854775808]"], 2),
        (["--config", "seed=" + "[" * 5_000], 0),  # a text
        (["--limit", "9" * 20], 0),
    ],
)
def test_huge_numbers_are_usage_errors(address: str, arguments: list[str], code: int) -> None:
    """A filter by a number that no configuration can have is a usage error of one line.

    A `--limit` of 20 digits is accepted, and so is a filter by a text of 5,000 brackets.
    """
    done = podium("arms", "sweep", *arguments, address=address)
    assert done.code == code
    assert done.err.count("\n") <= 1


def test_evals(address: str) -> None:
    """`podium evals` prints rows in the order in which they were accepted, with aligned steps."""
    assert shown("evals", "sweep", "r4", address=address) == (
        "EVAL         STEP  TAGS  MODEL      METRICS\n"
        "val          -100  val              acc=-0.1\n"
        "val             0  val              acc=0\n"
        "val           100  val              acc=0.1\n"
        "test         post  test             acc=1.33333  ppl=nan\n"
        "b@x/gpt-4.1  post        x/gpt-4.1  acc=0.9\n"
    )


def test_evals_are_filtered(address: str) -> None:
    """`podium evals` filters rows by name and by steps. Steps can be negative."""
    rows = read("evals", "sweep", "r4", "--min-step", "-100", "--max-step=0", address=address)
    assert [row["step"] for row in rows] == [-100, 0]
    rows = read("evals", "sweep", "r4", "--name", "test", address=address)
    assert [row["name"] for row in rows] == ["test"]


def test_eval(address: str) -> None:
    """`podium eval` prints a row with its breakdowns and all digits of its metrics."""
    assert shown("eval", "sweep", "r4", "test", address=address) == (
        "  eval       test\n"
        "  step       none: post-training\n"
        "  tags       test\n"
        "  eval time  1 min 01 s\n"
        "  measured   TIME\n"
        "  recorded   TIME, revision 3\n"
        "\n"
        "METRIC  VALUE\n"
        "acc     1.3333333333333333\n"
        "ppl     NaN\n"
        "\n"
        "BREAKDOWN  VALUE\n"
        '0          {"n": 3}\n'
        "1          [1.5, null]\n"
    )


@pytest.mark.parametrize(
    ("step", "expected"), [([], 100), (["--step", "-100"], -100), (["--step=0"], 0)]
)
def test_eval_by_step(address: str, step: list[str], expected: int) -> None:
    """`--step` selects the in-loop row at exactly this step.

    Without `--step`, the latest row is printed.
    """
    row = read("eval", "sweep", "r4", "val", *step, address=address)
    assert row["step"] == expected
    assert row["metrics"] == {"acc": expected / 1000}


def test_json_output_is_the_json_form_of_the_library(address: str) -> None:
    """`--json` writes the same JSON form as the library has for its objects."""
    with library.Client(address) as client:
        arm = client.arm("sweep", "r4").get()
        experiment = client.experiment("sweep").get()
    assert json_form.arm_from_json(read("show", "sweep", "r4", address=address)) == arm
    assert read("show", "sweep", address=address) == json_form.to_json(experiment)
    assert read("experiments", "--limit=1", "--prefix=sweep", address=address) == [
        json_form.to_json(experiment)
    ]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("acc", "1.3333333333333333  'acc' of the post-training eval 'test'"),
        ("val.acc", "0.1  'acc' of the in-loop eval 'val' at step 100"),
        ("b@x/gpt-4.1.acc", "0.9  'acc' of the post-training eval 'b@x/gpt-4.1'"),
        ("train/loss", "0.25  'train/loss' of the training metrics"),
        ("ppl", "nan  'ppl' of the post-training eval 'test'"),
    ],
)
def test_the_source_of_a_score(address: str, metric: str, expected: str) -> None:
    """`podium score --source` prints the source of a score after the score."""
    done = podium("score", "sweep", "r4", metric, "--source", address=address)
    assert done == (0, f"{expected}\n", "")


def test_a_score_is_exact(address: str) -> None:
    """`podium score` prints only the number, with all of its digits."""
    done = podium("score", "sweep", "r4", "test.acc", address=address)
    assert done == (0, "1.3333333333333333\n", "")
    assert float(done.out) == 4 / 3


def test_score_as_json(address: str) -> None:
    """With `--json`, `podium score` also prints the source, and NaN is a string."""
    assert read("score", "sweep", "r4", "ppl", address=address) == {
        "value": "NaN",
        "origin": "post_training_eval",
        "key": "ppl",
        "eval_name": "test",
        "step": None,
    }


def test_the_source_of_given_eval_metrics(address: str, name: str) -> None:
    """If an arm has no rows, the source of its score is the eval metrics it was recorded with."""
    arm = {"name": "a", "run_config": {"name": "a"}, "status": "failed", "eval_metrics": {"x": 1}}
    assert podium("record", name, "-", stdin=json.dumps(arm), address=address).code == 0
    assert podium("score", name, "a", "x", "--source", address=address).out == (
        "1.0  'x' of the eval metrics that the arm was recorded with\n"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "eval sweep r4 nope",
            "arm 'r4' has no eval 'nope'; see `podium evals sweep r4`",
        ),
        (
            "eval sweep r4 test --step 0",
            "arm 'r4' has no eval 'test' at step 0; see `podium evals sweep r4`",
        ),
        (
            "score sweep r4 val.nope",
            "arm 'r4' has no score on 'val.nope'; see `podium show sweep r4`",
        ),
    ],
)
def test_nothing_is_exit_code_1(address: str, line: str, expected: str) -> None:
    """If an arm does not have the given eval or score, the exit code is 1 and stderr says so.

    With `--json`, the output is null.
    """
    assert podium(*line.split(), address=address) == (1, "", f"podium: {expected}\n")
    assert podium(*line.split(), "--json", address=address) == (1, "null\n", "")


@pytest.mark.parametrize(
    ("line", "code", "expected"),
    [
        ("show nope", 1, "there is no experiment 'nope'; .*EXPERIMENT_NOT_FOUND"),
        ("arms nope", 1, "there is no experiment 'nope'; .*EXPERIMENT_NOT_FOUND"),
        ("eval sweep nope x", 1, "experiment 'sweep' has no arm 'nope'; .*ARM_NOT_FOUND"),
        ("show sweep nope", 1, "experiment 'sweep' has no arm 'nope'; .*ARM_NOT_FOUND"),
        ("show a//b", 2, "experiment 'a//b' has a segment .*NAME_INVALID"),
        (f"evals sweep r4 --name {'x' * 1100}", 2, "name has 1100 bytes: .*NAME_INVALID"),
    ],
)
def test_errors_of_the_server(address: str, line: str, code: int, expected: str) -> None:
    """An error of the server is printed as one line on stderr, with its reason.

    The reason determines the exit code.
    """
    done = podium(*line.split(), address=address)
    assert (done.code, done.out) == (code, "")
    assert re.fullmatch(rf"podium: {expected}\)\n", done.err)


def test_empty_lists(address: str) -> None:
    """An empty list is not an error. Nothing is printed on stdout, or `[]` with `--json`."""
    for command, what in [
        ("experiments", "experiments"),
        ("arms sweep", "arms: none begins with 'zzz'"),
    ]:
        line = f"{command} --prefix zzz".split()
        assert podium(*line, address=address) == (0, "", f"podium: no {what}\n")
        assert podium(*line, "--json", address=address) == (0, "[]\n", "")


def test_names_that_look_like_options(address: str) -> None:
    """After `--`, every argument is a name."""
    done = podium("eval", "sweep", "r4", "--", "--step", address=address)
    assert done.err.startswith("podium: arm 'r4' has no eval '--step'; ")
    for line in ("show -- sweep -arm", "show sweep -- -arm", "show sweep --json -- -arm"):
        done = podium(*line.split(), address=address)
        assert done.err.startswith("podium: experiment 'sweep' has no arm '-arm'; "), line
    done = podium("watch", "--series", "loss", "--", "unknown", address=address)
    assert done.err.startswith("podium: there is no experiment 'unknown'; ")


def test_options_may_stand_before_the_command(address: str) -> None:
    """The options that every command has can stand before or after the command."""
    before = podium("--address", address, "--json", "--timeout", "5", "score", "sweep", "r4", "acc")
    assert before.out.startswith('{"value": 1.3333333333333333, ')
    assert podium("score", "sweep", "r4", "acc", "--json", address=address) == before


@pytest.mark.slow
def test_a_ranking_can_be_drawn(address: str, tmp_path: Path) -> None:
    """`podium rank --plot` draws the ranking. It also prints the table and the file's name."""
    file = tmp_path / "ranking.svg"
    line = ["rank", "sweep", "--plot", str(file), "--title", "Ranks"]
    done = podium(*line, address=address)
    assert (done.code, done.err) == (0, f"podium: {file} is written\n")
    assert done.out.startswith("RANK  ARM")
    assert file.read_bytes().startswith(b"<?xml")
    done = podium("rank", "sweep", "--plot", "ranking.txt", address=address)
    assert (done.code, done.out, "a picture is a .png, .svg or .pdf" in done.err) == (2, "", True)


def test_similar_names(address: str) -> None:
    """If an experiment, arm, eval or metric does not exist, the error suggests a similar name."""
    for line, near in (
        ("arms sweeep", "'sweep'"),
        ("show sweep R16", "'r16'"),
        ("eval sweep r4 tset", "'test'"),
        ("score sweep r4 test.ac", "'test.acc'"),
        ("series sweep r4 train/los", "'train/loss'"),
        ("conclude sweeep", "'sweep'"),
        ("watch sweeep", "'sweep'"),
    ):
        done = podium(*line.split(), address=address)
        assert (done.code, done.out) == (1, "")
        assert f"; did you mean {near}" in done.err, line


def test_the_step_of_a_primary_eval(address: str, name: str) -> None:
    """`podium arms` shows the step of a primary eval that is in-loop, even for a completed arm."""
    with library.Client(address) as client:
        experiment = client.experiment(name)
        for arm, steps in (("finished", [3, 5]), ("tested", [3, None])):
            with experiment.start_arm(library.RunConfig(arm)) as attempt:
                for step in steps:
                    attempt.log_eval("val", {"acc": step or 0.0}, step=step)
    lines = podium("arms", name, address=address).out.splitlines()
    assert ["acc=3  (val at step 3)" in line for line in lines[1:]] == [True, False]


def test_similar_filters(address: str, name: str) -> None:
    """If a filter matches no arm or row, a message names the filter and a similar name."""
    with library.Client(address) as client:
        experiment = client.experiment(name)
        experiment.declare()
        config = library.RunConfig("lora", seed=1, tags=["baseline"])
        with experiment.start_arm(config, group_name="rank16") as arm:
            arm.log_eval("val", {"acc": 1.0}, step=1)
    for line, text in (
        ("arms --group rank61", "no arms: none is in group 'rank61'; did you mean 'rank16'?"),
        ("arms --tag basline", "no arms: none has the tag 'basline'; did you mean 'baseline'?"),
        ("arms --prefix lroa", "no arms: none begins with 'lroa'; did you mean 'lora'?"),
        ("arms --prefix lora --status failed", "no arms"),
        (
            "arms --config sed=1",
            "no arms: none has a configuration value 'sed'; did you mean 'seed'?",
        ),
        ("arms --config seed=2", "no arms"),
        (
            "arms --column group --prefix lroa",
            "no arms: none begins with 'lroa'; did you mean 'lora'?",
        ),
        (
            "scores val.acc --group rank61",
            "no arms: none is in group 'rank61'; did you mean 'rank16'?",
        ),
        ("evals lora --name vla", "no eval rows of 'vla'; did you mean 'val'?"),
        ("evals lora --name val --min-step 5", "no eval rows of 'val'"),
    ):
        command, *rest = line.split()
        done = podium(command, name, *rest, address=address)
        assert (done.code, done.out, done.err) == (0, "", f"podium: {text}\n")
    for options, text in (
        ("--prefix lroa", "none begins with 'lroa'; did you mean 'lora'?"),
        ("--group rank61", "none is in group 'rank61'; did you mean 'rank16'?"),
        ("--by-group --tag basline", "none has the tag 'basline'; did you mean 'baseline'?"),
    ):
        done = podium("rank", name, "val.acc", *options.split(), address=address)
        assert (done.code, done.err) == (0, f"podium: no arms: {text}\n")
