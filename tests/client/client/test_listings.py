"""Tests of lists of arms, rows, experiments, metrics and tokens, fetched in pages."""

import copy
import pickle
from typing import Any

import podium
import pytest
from podium import ArmResult, EvalResult, RunConfig
from podium_server.testing import RunningServer

from tests.client.client.both import AnyClient, items, result

_NAMES = ["a0", "a1", "a2", "a3", "a4"]


@pytest.fixture
def sweep(blocking: podium.Client, declared: str) -> str:
    """Records five arms, the first of which has five rows. Returns the experiment's name."""
    experiment = blocking.experiment(declared)
    for index, name in enumerate(_NAMES):
        rows = [EvalResult("val", metrics={"acc": k / 8}, step=k) for k in range(5 - index)]
        config = RunConfig(name, seed=index)
        experiment.record_arm(ArmResult(name, config, "completed", {"loss": 0.5}, evals=rows))
    return declared


def _calls(client: podium.Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list to which each call of the client adds the name of its request."""
    made: list[str] = []
    call = client._connection._call

    def counted(request: Any) -> Any:
        made.append(type(request).__name__)
        return call(request)

    monkeypatch.setattr(client._connection, "_call", counted)
    return made


async def test_a_whole_list(client: AnyClient, sweep: str) -> None:
    """A Listing has a length, indexes and slices, like a Python list.

    It can be iterated in both directions, and equals a Python list of its items.
    """
    arms = await result(client.experiment(sweep).arms(page_size=2))
    assert isinstance(arms, podium.Listing)
    assert (len(arms), arms[0].name, arms[-1].name) == (5, "a0", "a4")
    assert [arm.name for arm in arms] == [arm.name for arm in arms] == _NAMES
    assert [arm.name for arm in reversed(arms)] == _NAMES[::-1]
    assert [arm.name for arm in arms[1:3]] == ["a1", "a2"]
    assert [arm.name for arm in arms[::-2]] == ["a4", "a2", "a0"]
    assert [arm.name for arm in arms[-2:]] == ["a3", "a4"]
    assert arms == list(arms)
    assert arms[:2] != arms[1:3]
    assert arms[3] in arms
    assert [arm.name for arm in arms.stream()] == _NAMES


@pytest.mark.slow
@pytest.mark.heavy
async def test_every_kind_of_list(client: AnyClient, sweep: str) -> None:
    """Lists of rows, experiments and metrics become tables with one row for each item."""
    rows = await result(client.arm(sweep, "a0").evals())
    assert (len(rows), rows[4].metrics) == (5, {"acc": 0.5})
    assert rows.to_pandas()["eval.acc"].tolist() == [0.0, 0.125, 0.25, 0.375, 0.5]
    found = await result(client.experiments(name_prefix=sweep))
    assert [experiment.name for experiment in found] == [sweep]
    assert found.to_pandas()[["experiment", "arms", "completed"]].to_numpy().tolist() == [
        [sweep, 5, 5]
    ]
    metrics = await result(client.experiment(sweep).metrics())
    assert metrics.to_pandas()["metric"].tolist() == ["acc", "loss", "val.acc"]
    assert metrics.to_pandas()["in_loop_eval"].tolist()[2] == 5


def test_a_list_of_tokens() -> None:
    """A list of tokens shows each token in a row, with a column for each of its limits."""
    token = podium.Token("1", "ana", "reader", ["nlp"], limits=podium.TokenLimits(calls=3))
    assert repr(podium.Listing("tokens", [token])) == (
        "Listing: 1 token\nid  name  role    prefixes  limits.calls\n1   ana   reader  nlp       3"
    )


def test_pages_are_fetched_when_needed(
    blocking: podium.Client, sweep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list makes no call before its first use, and fetches each page once.

    It keeps its items. Only `stream` fetches the pages again.
    """
    made = _calls(blocking, monkeypatch)
    arms = blocking.experiment(sweep).arms(page_size=2)
    assert made == []
    assert arms
    assert arms[1].name == "a1"
    assert repr(arms).startswith("Listing: the first 2 arms; len() fetches all\narm ")
    assert len(made) == 1
    assert [arm.name for arm in arms[1:3]] == ["a1", "a2"]
    assert next(iter(arms)) is arms[0]
    assert len(made) == 2
    assert len(arms) == 5
    blocking.experiment(sweep).record_arm(ArmResult("late", RunConfig("late"), "completed"))
    assert len(made) == 4
    assert [arm.name for arm in arms] == _NAMES
    assert [arm.name for arm in arms.stream()] == [*_NAMES, "late"]


async def test_iterating_twice(client: AnyClient, sweep: str) -> None:
    """A list can be iterated page by page, any number of times."""
    arms = client.experiment(sweep).arms(page_size=2)
    assert [arm.name for arm in await items(arms)] == _NAMES
    assert [arm.name for arm in await items(arms)] == _NAMES


def test_a_failed_call_is_repeated(sweep: str, server: RunningServer) -> None:
    """After a failed call, the next use of a list fetches the remaining pages."""
    with podium.Client(server.address) as client:
        arms = client.experiment(sweep).arms(page_size=2)
        assert arms[0].name == "a0"
        fetch, arms._fetch = arms._fetch, _unavailable
        for _ in range(2):
            with pytest.raises(podium.UnavailableError):
                len(arms)
        arms._fetch = fetch
        assert [arm.name for arm in arms] == _NAMES


def _unavailable(_pages: object) -> Any:
    raise podium.UnavailableError("no server")


@pytest.mark.heavy
def test_a_list_on_a_screen(blocking: podium.Client, sweep: str) -> None:
    """A console and a notebook show a list as a table without the configurations' columns."""
    arms = blocking.experiment(sweep).arms()
    assert repr(arms[:2]) == (
        "Listing: 2 arms\n"
        "arm  status     evals  eval.acc  train.loss\n"
        "a0   completed  5      0         0.5\n"
        "a1   completed  4      0         0.5"
    )
    html = arms._repr_html_()
    assert html.startswith("<div><p><b>Listing</b>: 5 arms</p><table>")
    assert html.count("<tr>") == 6
    assert "config." not in html
    assert arms.to_pandas()["config.seed"].tolist() == [0, 1, 2, 3, 4]
    many = podium.Listing("arms", list(arms) * 30)
    assert len(repr(many).splitlines()) == 23
    assert repr(many).endswith("\n… and 130 more")
    assert repr(podium.Listing("arms", [])) == "Listing: 0 arms"


async def test_a_list_that_is_not_awaited(server: RunningServer) -> None:
    """The repr of an asynchronous list says how to fetch the list."""
    async with podium.AsyncClient(server.address) as client:
        assert repr(client.experiments()) == (
            "<AsyncListing of experiments: `await` it for a list, or use `async for`>"
        )


def test_wrong_indexes(blocking: podium.Client, sweep: str) -> None:
    """A list raises the errors of a Python list if an index is out of range or a string."""
    arms = blocking.experiment(sweep).arms(page_size=2)
    for place in (5, -6):
        with pytest.raises(IndexError):
            arms[place]
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        arms["a0"]  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unhashable"):
        hash(arms)


def test_copies(blocking: podium.Client, sweep: str) -> None:
    """A pickled or copied list has all items."""
    arms = blocking.experiment(sweep).arms(page_size=2)
    for same in (pickle.loads(pickle.dumps(arms)), copy.deepcopy(arms)):  # noqa: S301
        assert same == arms
        assert [arm.name for arm in same.stream()] == _NAMES
