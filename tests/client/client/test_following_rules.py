"""Tests of the states, waits and end of a followed experiment, without a server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import podium
import pytest
from podium._client.aio.follower import AsyncLive
from podium._client.blocking.follower import Live
from podium._client.follower import LiveBase
from podium._client.live_state import LiveState
from podium._model.watching import WatchUpdate
from podium.errors import CanceledError, error_for
from podium.v1.arm_result_pb2 import ArmSummary
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.experiment_pb2 import Experiment
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.value_pb2 import Value
from podium.v1.watch_pb2 import WatchedArm, WatchedEval, WatchMarker, WatchRemoval

from tests.client.client.both import entered, result
from tests.client.client.sessions import session as _session

_SECONDS = 30
_RUNNING, _COMPLETED, _FAILED = 2, 3, 4
_MAXIMIZE, _MINIMIZE = 1, 2


def _marked(revision: int, *arms: ArmSummary, **fields: Any) -> WatchResponse:
    """Returns a message with a marker, which makes it a whole update.

    The arms are given in the order of their creation.
    """
    watched = [WatchedArm(position=at, arm=arm) for at, arm in enumerate(arms)]
    marker = WatchMarker(revision=revision, epoch="e")
    return WatchResponse(marker=marker, arms=watched, **fields)


def _arm(name: str, status: int = _COMPLETED, **metrics: float) -> ArmSummary:
    config = RunConfig(name=name)
    return ArmSummary(name=name, run_config=config, status=status, metrics=metrics)  # type: ignore[arg-type]


def _row(
    position: int, name: str, value: float, step: int | None = None, *, arm: str = "a"
) -> WatchedEval:
    row = EvalResult(name=name, step=step, metrics={"acc": value})
    return WatchedEval(arm=arm, position=position, eval_result=row)


def _state(*messages: WatchResponse) -> LiveState:
    """Returns the state after updates of one message each."""
    session, state = _session(), LiveState()
    for message in messages:
        update = session.take(message)
        assert update is not None
        state = state.after(update)
    return state


# ---- States --------------------------------------------------------------------------------------


def test_rankings_use_the_declaration() -> None:
    """A ranking uses the declared success metric and the declared direction of each metric.

    The declaration stays in the state after an update without one. Without a success metric, a
    ranking is an error.
    """
    stated = {"direction:loss": Value(string_value="minimize")}
    about = Experiment(name="x", success_metric="acc", direction=_MAXIMIZE, metadata=stated)  # type: ignore[arg-type]
    arms = _arm("a", acc=0.5, loss=1.0), _arm("b", acc=0.7, loss=2.0)
    state = _state(_marked(1, experiment=about), _marked(2, *arms))
    assert (state.best(), state.best("loss")) == ("b", "a")
    assert state.best("loss", direction="maximize") == "b"
    assert [each.arm for each in state.rank("loss").arms] == ["a", "b"]
    assert (state.rank().revision, [each.arm for each in state.rank().arms]) == (2, ["b", "a"])
    about.direction = _MINIMIZE  # type: ignore[assignment]
    assert _state(_marked(1, *arms, experiment=about)).best() == "a"
    for read in (LiveState().rank, LiveState().best):
        with pytest.raises(ValueError, match="the experiment has no success_metric"):
            read()


def test_rows_keep_their_order() -> None:
    """The rows of an arm are ordered by position, not in the order in which they are sent.

    A row that was recorded again replaces the earlier row in the new state only.
    """
    rows = _row(1, "second", 0.2), _row(0, "first", 0.1), _row(2, "third", 0.3)
    state = _state(_marked(1, _arm("a"), evals=rows))
    found = state.arm("a").result
    assert [row.name for row in found.evals] == ["first", "second", "third"]
    assert found.eval_metrics == {"acc": 0.1}
    replaced = state.after(_update(_marked(2, evals=[_row(0, "first", 0.5)])))
    assert (replaced.arm("a").score("acc"), state.arm("a").score("acc")) == (0.5, 0.1)


def _update(message: WatchResponse) -> WatchUpdate:
    update = _session().take(message)
    assert update is not None
    return update


def test_removals_and_resets_of_states() -> None:
    """Removing a row keeps the arm's other rows. Removing an arm removes its rows, too.

    A reset removes all earlier arms. The row of an unknown arm is ignored.
    """
    rows = [_row(0, "val", 0.1, step=0), _row(1, "val", 0.2)]
    state = _state(_marked(1, _arm("a"), _arm("b"), evals=rows))
    cut = state.after(_update(_marked(2, removals=[WatchRemoval(arm="a", name="val")])))
    assert list(cut.arm("a").rows) == [("val", 0)]
    assert list(state.arm("a").rows) == [("val", 0), ("val", None)]
    gone = [WatchRemoval(arm="a")]
    again = cut.after(_update(_marked(3, _arm("a"), removals=gone)))
    assert (list(again.arms), again.arm("a").rows) == (["a", "b"], {})
    assert list(cut.after(_update(_marked(3, removals=gone))).arms) == ["b"]
    assert list(state.after(_update(_marked(1, _arm("c"), reset=True))).arms) == ["c"]
    late = state.after(_update(_marked(4, evals=[_row(0, "val", 0.1, arm="unknown")])))
    assert late.arms.keys() == {"a", "b"}


def test_curves_of_a_state_have_the_chosen_status() -> None:
    """`curve` shows arms with the chosen statuses, by default running and completed arms."""
    live, statuses = LiveBase(_session()), {"a": _RUNNING, "b": _COMPLETED, "c": _FAILED}
    rows = [_row(0, "val", 0.5, step=1, arm=name) for name in statuses]
    live._state = _state(_marked(1, *(_arm(*each) for each in statuses.items()), evals=rows))
    for status, names in ((None, "ab"), ("failed", "c"), (["failed", "completed"], "bc")):
        curves = live.curve("val.acc", status=status).curves  # type: ignore[arg-type]
        assert "".join(sorted(curve.name for curve in curves)) == names


# ---- Watches -------------------------------------------------------------------------------------


def test_each_marker_confirms_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lag of a followed experiment returns to 0 when a message with a marker arrives.

    This also happens if the previous message had the same marker. A message without a marker does
    not reset the lag.
    """
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    session = _session()
    live = LiveBase(session)
    lags = []
    for message in (WatchResponse(), _marked(1), _marked(1)):
        now += 8.0
        lags.append(live.lag)
        session.take(message)
        lags.append(live.lag)
    assert lags == [8.0, 8.0, 16.0, 0.0, 8.0, 0.0]


_OPTIONS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {}),
    ({"status": "running"}, {"statuses": [_RUNNING]}),
    ({"status": ["failed", "running"]}, {"statuses": [_FAILED, _RUNNING]}),
    ({"group_name": "g"}, {"group_name": "g"}),
    ({"name_prefix": "lora"}, {"name_prefix": "lora"}),
    ({"with_evals": False}, {"without_evals": True}),
    ({"with_breakdowns": False}, {"without_breakdowns": True}),
    ({"with_series": True}, {"with_series": True}),
    ({"with_series": ["loss"]}, {"with_series": True, "series_keys": ["loss"]}),
    ({"with_series": []}, {}),
)
"""Options of `follow` and `watch`, each with the fields of the request that it sets."""


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
def test_the_request_has_the_options(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option of `follow` and `watch` sets its own fields of the request, and no others."""
    for name in ("aio", "blocking"):
        where = f"podium._client.{name}.experiment.watch"
        monkeypatch.setattr(where, lambda _connection, session: session)
    experiment = kind("h:1").experiment("x")
    for options, fields in _OPTIONS:
        expected = WatchRequest(experiment="x", **fields)
        assert experiment.follow(**options)._session.request == expected, options
        assert experiment.watch(**options).request == expected, options
    assert experiment.watch(after=7).request.after_revision == 7


def test_a_watch_is_stopped_from_another_thread() -> None:
    """Stopping a watch cancels its call, even if the call begins only after the stop.

    A pause between two calls of a stopped watch ends at once.
    """
    for begins_first in (True, False):
        session, cancelled = _session(), list[str]()
        begin = partial(session.begin, partial(cancelled.append, "call"))
        for step in (begin, session.stop) if begins_first else (session.stop, begin):
            step()
        assert (cancelled, session.is_stopped) == (["call"], True)
    pause = threading.Thread(target=session.wait, args=[3600], daemon=True)
    pause.start()
    pause.join(_SECONDS)
    assert not pause.is_alive()


# ---- Waits ---------------------------------------------------------------------------------------


class _Connection:
    """Sends messages at once, and further messages or an error after `goes_on` is set.

    Without an error, the call continues until the client ends it.
    """

    def __init__(
        self,
        *messages: WatchResponse,
        later: Sequence[WatchResponse] = (),
        error: podium.PodiumError | None = None,
    ) -> None:
        self._messages, self._later, self._error = messages, later, error
        self.goes_on: Any = threading.Event()

    def stream(
        self, _request: object, begin: Callable[[Callable[[], object]], None]
    ) -> Iterator[WatchResponse]:
        ended = threading.Event()
        begin(ended.set)
        yield from self._messages
        if self._later or self._error:
            assert self.goes_on.wait(_SECONDS)
        yield from self._later
        if self._error is not None:
            raise self._error
        ended.wait()
        raise CanceledError("the client has ended the call")

    def pause(self, _session: object, _seconds: float) -> Any:
        raise AssertionError("the watch goes on after an error that ends it")


class _AsyncConnection(_Connection):
    def __init__(self, *messages: WatchResponse, **options: Any) -> None:
        super().__init__(*messages, **options)
        self.goes_on = asyncio.Event()

    async def stream(  # type: ignore[override]
        self, _request: object, _begin: object
    ) -> AsyncIterator[WatchResponse]:
        for message in self._messages:
            yield message
        if self._later or self._error:
            await self.goes_on.wait()
        for message in self._later:
            yield message
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()


def _following(kind: Any, *messages: WatchResponse, **options: Any) -> Any:
    connection: Any = _Connection if kind is Live else _AsyncConnection
    return kind(connection(*messages, **options), _session())


both_kinds = pytest.mark.parametrize("kind", [Live, AsyncLive])
_ERROR = error_for("ROLE_TOO_LOW", "the token was replaced by one of a lower role")


@both_kinds
async def test_the_error_that_ends_a_watch_ends_each_wait(kind: Any) -> None:
    """If an error ends a watch, each wait raises this error, inside the `with` block and after it.

    The last state can still be read.
    """
    live = _following(kind, _marked(1, _arm("a")), error=_ERROR)
    async with entered(live):
        live._connection.goes_on.set()
        for _ in range(2):
            with pytest.raises(podium.PermissionDeniedError, match="lower role"):
                await result(live.wait_for(2, timeout=_SECONDS))
        assert live.arm("a").status == "completed"
    with pytest.raises(podium.PermissionDeniedError, match="lower role"):
        await result(live.wait_for(2, timeout=_SECONDS))


@both_kinds
async def test_a_wait_without_time_looks_once(kind: Any) -> None:
    """A wait with a timeout of 0 succeeds if the state has arrived already, or else times out."""
    live = _following(kind, _marked(5))
    async with entered(live):
        await result(live.wait_for(5, timeout=0))
        assert await result(live.wait_until(lambda state: state.revision, timeout=0)) == 5
        with pytest.raises(TimeoutError, match="waited 0 s; the state has revision 5"):
            await result(live.wait_for(6, timeout=0))


@both_kinds
async def test_a_new_state_ends_all_waits(kind: Any) -> None:
    """If several threads or tasks wait for one revision, its arrival ends all of their waits."""
    live = _following(kind, _marked(1), later=[_marked(2)])
    async with entered(live):
        waits = [
            asyncio.ensure_future(
                asyncio.to_thread(live.wait_for, 2) if kind is Live else live.wait_for(2)
            )
            for _ in range(3)
        ]
        while len(live._changed._waiters) < len(waits):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.001)
        live._connection.goes_on.set()
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*waits)


async def test_a_block_that_is_not_entered_leaves_no_task() -> None:
    """If a program is cancelled before the first state arrives, the task of the watch ends."""
    live = _following(AsyncLive)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), live:
            pass
    assert live._task.done()


def test_a_block_that_is_not_entered_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Ctrl-C interrupts a program before the first state arrives, the watch's thread ends."""

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    live = _following(Live)
    monkeypatch.setattr(live, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt), live:
        pass
    assert not live._thread.is_alive()


def test_a_watch_that_ends_as_a_wait_begins() -> None:
    """If a watch ends just after a wait has checked for its end, the wait raises the error."""
    live = _following(Live, _marked(1), error=_ERROR)
    check = live._check

    def end_after_check() -> None:
        check()
        live._connection.goes_on.set()
        live._thread.join()

    with live:
        live._check = end_after_check
        with pytest.raises(podium.PermissionDeniedError):
            live.wait_for(2, timeout=_SECONDS)
