"""Records scikit-learn searches. Each candidate is a group, and each of its folds is an arm.

search = GridSearchCV(model, grid, cv=5, n_jobs=4).fit(rows, labels)
record_search(search, "churn")
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from copy import deepcopy
from typing import Any

from podium._interface.recorders import ExperimentRecorder
from podium._model.config import Component, RunConfig
from podium._model.results import ArmResult, EvalResult
from podium._values.enums import ArmStatus
from podium._values.shorten_text import shorten, utf8_size
from podium.integrations._settings import plain, settings_of

__all__ = ["record_search"]

_LOGGER = logging.getLogger("podium")
_NAME_BYTES = 200
_NO_RESULTS = (
    "podium: record_search: nothing is recorded, because search has no cv_results_: give a "
    "GridSearchCV or another search whose fit() has ended, not %s"
)


def record_search(
    search: Any, experiment: str | ExperimentRecorder, *, name: str = "", eval_name: str = "cv"
) -> None:
    """Records the results of a search such as GridSearchCV after its `fit`, for any `n_jobs`.

    Each candidate is a group, named by its parameters. Each fold is an arm of this group, with one
    post-training row. A ranking by group shows the mean of the folds, which is scikit-learn's
    `mean_test_score`. Its `sd` divides by n - 1; scikit-learn's `std_test_score` divides by n. The
    final model, trained on all data, is the arm `refit`. Recording a search again replaces the arms
    of the same names.

    Args:
        search: The search. Its `fit` must have ended.
        experiment: The name of the experiment, or the recorder that `podium.record` returned. If a
            name creates a new experiment, its success metric is the score of the folds.
        name: The prefix of all arm and group names, to distinguish the searches of one experiment.
        eval_name: The name of the eval.
    """
    results = getattr(search, "cv_results_", None)
    if not isinstance(results, Mapping):
        _LOGGER.warning(_NO_RESULTS, type(search).__name__, stacklevel=2)
        return
    try:
        with ExitStack() as stack:
            recorder = experiment
            if isinstance(recorder, str):
                from podium._recorder import record  # noqa: PLC0415 - it loads protobuf

                metric = f"{eval_name}.{_refit_metric(search)}"
                recorder = stack.enter_context(record(recorder, success_metric=metric))
            for arm in _arms(search, results, name, eval_name):
                recorder.record_arm(arm)
    except Exception:
        # An error must not stop the script before it saves the model of the finished search.
        _LOGGER.exception(
            "podium: record_search failed, so the search is not recorded, or only in part"
        )


def _arms(
    search: Any, results: Mapping[str, Any], prefix: str, eval_name: str
) -> Iterator[ArmResult]:
    """Yields an arm for each fold of each candidate, and one for the final model."""
    for index, group in enumerate(_group_names(results, prefix)):
        of_candidate = {key: values[index] for key, values in results.items()}
        algorithm = _component(search.estimator, of_candidate["params"])
        for fold in range(search.n_splits_):
            row = EvalResult(
                eval_name,
                metrics=_scores(of_candidate, f"split{fold}_test_"),
                eval_seconds=_seconds(of_candidate["mean_score_time"]) or 0.0,
                tags=["test"],
            )
            yield ArmResult(
                f"{group} fold {fold}",
                RunConfig(f"{group} fold {fold}", algorithm=algorithm),
                ArmStatus.COMPLETED,
                metrics=_scores(of_candidate, f"split{fold}_train_", "train_"),
                evals=[row],
                train_seconds=_seconds(of_candidate["mean_fit_time"]),
                group_name=group,
            )
    if hasattr(search, "refit_time_"):
        kept = f"{prefix} refit".strip()
        algorithm = _component(search.estimator, search.best_params_)
        config = RunConfig(kept, algorithm=algorithm)
        seconds = _seconds(search.refit_time_)
        yield ArmResult(kept, config, ArmStatus.COMPLETED, train_seconds=seconds)


def _component(estimator: Any, params: Mapping[str, Any]) -> Component:
    """Returns all parameters of a candidate, including those of a replaced nested estimator."""
    candidate = deepcopy(estimator).set_params(**deepcopy(dict(params)))
    return Component(plain(type(estimator)), settings_of(candidate.get_params()))


def _group_names(results: Mapping[str, Any], prefix: str) -> list[str]:
    """Returns a unique name for each candidate, made from its parameters."""
    texts = []
    for index, params in enumerate(results["params"]):
        settings = settings_of(params)
        text = " ".join(f"{key}={value}" for key, value in settings.items()) or "default"
        # A successive halving trains the same parameters in several iterations.
        iteration = f" iteration {results['iter'][index]}" if "iter" in results else ""
        texts.append("".join(filter(str.isprintable, f"{prefix} {text}{iteration}".strip())))
    return [
        text
        if texts.count(text) == 1 and utf8_size(text) <= _NAME_BYTES
        else f"{shorten(text, _NAME_BYTES)} #{index}"
        for index, text in enumerate(texts)
    ]


def _scores(found: Mapping[str, Any], prefix: str, to: str = "") -> dict[str, float]:
    """Returns the scores whose keys begin with a prefix. Replaces the prefix by `to`."""
    return {
        f"{to}{key.removeprefix(prefix)}": float(value)
        for key, value in found.items()
        if key.startswith(prefix)
    }


def _refit_metric(search: Any) -> str:
    """Returns the metric by which the search chose the best candidate, or the first metric."""
    chosen = search.refit
    if isinstance(chosen, str):
        return chosen
    marker = "split0_test_"
    names: list[str] = [key for key in search.cv_results_ if key.startswith(marker)]
    return names[0].removeprefix(marker)


def _seconds(given: float) -> float | None:
    return float(given) if math.isfinite(given) else None
