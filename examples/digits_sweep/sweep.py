"""Runs a small sweep on handwritten digits, and reads its results from Podium: `make demo`.

The sweep has six configurations of a small neural network with three seeds each, and one arm that
diverges. Several processes train and record at the same time, each with a client of its own. The
parent process watches them through the same server, and then prints the answers of `eval()` and
`score()`. At the end it ranks the configurations by the mean over their seeds, tests whether the
best one is better than the second, and draws the ranking and the curves.

`train` shows how a training process records. `watch`, `report`, `rank` and `draw` show how any
program reads results.
"""

import argparse
import itertools
import multiprocessing
import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import podium
from podium_server.store.shown_url import shown_url
from podium_server.testing import running_server
from sklearn.datasets import load_digits
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.utils import gen_batches, shuffle

EXPERIMENT = "digits_sweep"
SUCCESS_METRIC = "test.accuracy"
WIDTHS = (8, 32, 128)
LEARNING_RATES = (0.01, 0.05)
DIVERGING_RATE, DIVERGED_LOSS = 1e4, 1e3
EPOCHS = 12
BATCH_ROWS = 64
EVAL_EVERY_STEPS = 20

QUESTIONS = ('eval("val")', 'eval("val", step=20)', 'score("test.accuracy")', 'score("loss")')


# ---- Training and recording -----------------------------------------------------------------


def train(address: str, config: podium.RunConfig, group: str) -> None:
    """Trains one arm and records it. Runs in a process of its own."""
    # A client connects at its first call, so every process makes its own client. At the end of the
    # block, the arm is set to completed. If the block raises, it is set to failed, with the
    # traceback as its error. With restart, the arm starts again if an earlier run of this script
    # recorded it.
    with (
        podium.Client(address) as client,
        client.experiment(EXPERIMENT).start_arm(config, group_name=group, restart=True) as arm,
    ):
        began = time.perf_counter()
        training, validation, test = _digits()
        model = _fit(arm, config, training, validation)
        train_seconds = time.perf_counter() - began

        # No step: this is the post-training eval. `test` makes it the arm's primary one.
        # Metrics may be numbers of any library. Keys of a breakdown, here digits, become strings.
        inputs, labels = test
        recalls = recall_score(labels, model.predict(inputs), average=None)
        accuracy = model.score(inputs, labels)
        arm.log_eval(
            "test", {"accuracy": accuracy}, tags=["test"], breakdowns=dict(enumerate(recalls))
        )
        arm.finish(train_seconds=train_seconds)


def _fit(arm: podium.ArmRecorder, config: podium.RunConfig, training: Any, validation: Any) -> Any:
    model = _model(config)
    for step, (inputs, labels) in enumerate(_batches(training, config.seed), start=1):
        model.partial_fit(inputs, labels, classes=range(10))
        if not model.loss_ < DIVERGED_LOSS:
            raise FloatingPointError(f"training diverged: loss {model.loss_:.3g} at step {step}")
        if step % EVAL_EVERY_STEPS == 0:
            arm.log({"loss": model.loss_})
            arm.log_eval("val", {"accuracy": model.score(*validation)}, step=step)
    return model


def _model(config: podium.RunConfig) -> Any:
    params = config.algorithm.params if config.algorithm else {}
    return MLPClassifier(
        (params["width"],),
        solver="sgd",
        learning_rate_init=params["learning_rate"],
        random_state=config.seed,
    )


def _batches(training: Any, seed: int | None) -> Iterator[tuple[Any, Any]]:
    for epoch in range(EPOCHS):
        inputs, labels = shuffle(*training, random_state=1_000 * (seed or 0) + epoch)
        for rows in gen_batches(len(inputs), BATCH_ROWS):
            yield inputs[rows], labels[rows]


def _digits() -> tuple[Any, Any, Any]:
    """Returns the images and labels for training, validation and test, equal for all arms."""
    images, labels = load_digits(return_X_y=True)
    train_x, rest_x, train_y, rest_y = train_test_split(
        images / 16, labels, test_size=600, stratify=labels, random_state=0
    )
    val_x, test_x, val_y, test_y = train_test_split(
        rest_x, rest_y, test_size=300, stratify=rest_y, random_state=0
    )
    return (train_x, train_y), (val_x, val_y), (test_x, test_y)


def arms(configurations: int, seeds: int) -> Iterator[tuple[podium.RunConfig, str]]:
    """Yields the run_config of each arm of the sweep, and the name of its group."""
    grid = itertools.islice(itertools.product(WIDTHS, LEARNING_RATES), configurations)
    for width, rate in grid:
        for seed in range(seeds):
            yield _config(width, rate, seed), _group(width, rate)
    yield _config(WIDTHS[0], DIVERGING_RATE, 0), _group(WIDTHS[0], DIVERGING_RATE)


def _group(width: int, rate: float) -> str:
    return f"width{width}_lr{rate:g}"


def _config(width: int, rate: float, seed: int) -> podium.RunConfig:
    return podium.RunConfig(
        name=f"{_group(width, rate)}_seed{seed}",
        data=podium.DataConfig("sklearn", dataset_name="digits"),
        model=podium.ModelConfig("mlp"),
        algorithm=podium.Component(
            "sgd", {"width": width, "learning_rate": rate, "epochs": EPOCHS, "batch": BATCH_ROWS}
        ),
        backend=podium.Component("scikit-learn"),
        validation={"every_steps": EVAL_EVERY_STEPS},
        seed=seed,
    )


# ---- Asking ---------------------------------------------------------------------------------


def watch(experiment: podium.ExperimentHandle, trainings: Sequence[Future[None]]) -> None:
    """Prints the progress of the sweep every second."""
    began = time.perf_counter()
    # The state is in memory and always current: reading it makes no calls.
    with experiment.follow() as live:
        while wait(trainings, timeout=1).not_done:
            done = sum(training.done() for training in trainings)
            running = [_progress(arm) for arm in live.arms.values() if arm.status == "running"]
            print(
                f"{time.perf_counter() - began:5.1f} s  {done:2} of {len(trainings)} arms done",
                *running,
                sep="  |  ",
                flush=True,
            )


def _progress(arm: podium.LiveArm) -> str:
    # Until there is a post-training row of `val`, this is the latest in-loop row.
    latest = arm.eval("val")
    reached = f"val {latest.metrics['accuracy']:.3f} at {latest.step}" if latest else "begins"
    return f"{arm.name} {reached}"


def report(experiment: podium.ExperimentHandle) -> None:
    """Asks the server about every arm and prints the answers; stores and prints the conclusion."""
    answers = [_answers(arm, experiment.arm(arm.name)) for arm in experiment.arms()]
    _print_table(["arm", "status", *QUESTIONS, "weakest digit"], answers)
    for arm in experiment.arms(status="failed"):
        print(f"\n{arm.name} failed: {(arm.error or '').splitlines()[-1]}")

    # get() returns an arm with all its rows. Its methods eval() and score() make no calls.
    snapshots = [experiment.arm(arm.name).get() for arm in experiment.arms()]
    experiment.conclude(podium.scoring.conclusion(snapshots, SUCCESS_METRIC))
    state = experiment.get()
    print(f"\n{state.name} is {state.status}, revision {state.revision}. {state.conclusion}")


def _answers(summary: podium.ArmSummary, arm: podium.ArmHandle) -> list[str]:
    last, early, test = arm.eval("val"), arm.eval("val", step=20), arm.eval("test")
    return [
        summary.name,
        summary.status,
        f"{last.metrics['accuracy']:.4f} at {last.step}" if last else "-",
        f"{early.metrics['accuracy']:.4f} at {early.step}" if early else "-",
        _number(arm.score("test.accuracy")),
        _number(arm.score("loss")),
        min(test.breakdowns, key=test.breakdowns.__getitem__) if test else "-",
    ]


def _number(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


def _print_table(header: list[str], rows: Iterable[list[str]]) -> None:
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def rank(experiment: podium.ExperimentHandle) -> None:
    """Ranks the configurations by their means, and tests the first against the second."""
    ranking = experiment.rank_groups()
    _print_table(["rank", "group", f"mean {ranking.metric}", "n"], map(_place, ranking.groups))
    counts = ranking.counts
    print(f"{counts.numbers} scores; left out: {counts.left_out.failed} failed")

    match [group for group in ranking.groups if group.statistics.sd is not None]:
        case [best, other, *_]:
            compared = experiment.compare(best.name, other.name, kind="group", evals=["test"])
            difference = _difference(compared.metrics[0].difference)
            print(f"\n{best.name} is ahead of {other.name} by {difference}")


def _place(group: podium.RankedGroup) -> list[str]:
    found = group.statistics
    mean = _number(found.mean)
    if found.half_width is not None:
        mean += f" ± {found.half_width:.4f}"  # the 95 % interval, by Student's t
    return [_rank(group.rank), group.name, mean, f"{found.n} of {group.members}"]


def _rank(place: int | None) -> str:
    return "-" if place is None else str(place)


def _difference(found: podium.statistics.Difference) -> str:
    if found.half_width is None or found.p_value is None:
        return _number(found.difference)
    return (
        f"{_number(found.difference)} ± {found.half_width:.4f} "
        f"(95 % interval, p = {found.p_value:.2g}, Welch's test)"
    )


def draw(experiment: podium.ExperimentHandle, folder: Path) -> None:
    """Draws the ranking, and the validation curve of each configuration."""
    ranking, curves = folder / "ranking.svg", folder / "val_accuracy.svg"
    try:
        podium.plots.save_ranking(experiment.rank_groups(), ranking)
        podium.plots.save_curves(experiment.curve("val.accuracy", by_group=True), curves)
    except ImportError as error:
        print(f"\nNo pictures: {error}")
    else:
        print(f"\nPictures: {ranking} and {curves}")


# ---- The sweep ------------------------------------------------------------------------------


def sweep(address: str, configurations: int, seeds: int, processes: int, folder: Path) -> None:
    """Declares the experiment, trains its arms in several processes, and prints the results."""
    with podium.Client(address) as client:
        experiment = client.experiment(EXPERIMENT)
        experiment.declare(
            hypothesis="A wider layer and a higher learning rate read digits better.",
            success_metric=SUCCESS_METRIC,
            direction="maximize",
        )
        # Processes are spawned, never forked: gRPC does not survive a fork.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
            planned = arms(configurations, seeds)
            trainings = [pool.submit(train, address, config, group) for config, group in planned]
            watch(experiment, trainings)
        for training in trainings:
            if not isinstance(training.exception(), FloatingPointError):
                training.result()
        report(experiment)
        rank(experiment)
        draw(experiment, folder)


def main() -> None:
    """Runs the sweep on a server of its own."""
    parser = argparse.ArgumentParser(description="Trains a small sweep and asks for its results.")
    parser.add_argument("--folder", type=Path, default=Path("build/digits_sweep"))
    parser.add_argument("--configurations", type=int, default=len(WIDTHS) * len(LEARNING_RATES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=min(4, max(2, os.cpu_count() or 2)))
    parser.add_argument("--serve", action="store_true", help="then serve the page, until stopped")
    parser.add_argument("--store", metavar="URL", help="the store (default: a file in FOLDER)")
    given = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"  # each process uses one core
    given.folder.mkdir(parents=True, exist_ok=True)
    store = given.store or f"sqlite:///{given.folder / 'podium.db'}"
    podium_command = os.path.relpath(Path(sys.prefix) / "bin" / "podium")
    with running_server(store, "--log-level", "warning") as server:
        print(f"A server on {server.address} keeps the results in {shown_url(store)}.")
        watch_command = f"{podium_command} watch {EXPERIMENT} --metric val.accuracy"
        print("Watch it in another terminal:", flush=True)
        print(f"PODIUM_ADDRESS={server.address} {watch_command}", flush=True)
        sweep(server.address, given.configurations, given.seeds, given.processes, given.folder)
    serve = [podium_command, "serve", "--http", "127.0.0.1:8080", "--store"]
    print(f"\nThe store keeps the results. To read them: {shlex.join([*serve, shown_url(store)])}")
    print(f"and in another terminal: {podium_command} rank {EXPERIMENT} --by-group")
    print(f"or, for leaderboards and curves: {podium_command} page --experiment {EXPERIMENT}")
    if given.serve:
        page = f"http://127.0.0.1:8080/#experiment={EXPERIMENT}"
        print(f"The page is at {page} until you stop this with Ctrl-C.", flush=True)
        os.execv(podium_command, [*serve, store])  # noqa: S606


if __name__ == "__main__":
    main()
