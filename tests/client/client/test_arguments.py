"""Tests of the arguments of calls. Wrong arguments are rejected before any call."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import podium
import pytest
from podium import events

from tests.client.client.both import AnyClient, items, result

CONFIG = podium.RunConfig("r")

# A call with a wrong argument, the error that it raises, and a pattern in the error's message.
WRONG: list[tuple[Callable[[AnyClient], Any], type[Exception], str]] = [
    (lambda client: client.experiment(5), TypeError, "experiment must be a string"),
    (lambda client: client.arm("e", None), TypeError, "arm must be a string"),
    (lambda client: client.arm("e", "a").eval(5), TypeError, "name must be a string"),
    (lambda client: client.arm("e", "a").eval(b"val"), TypeError, "name must be a string"),
    (lambda client: client.arm("e", "a").eval("v", step=True), TypeError, "step must be"),
    (lambda client: client.arm("e", "a").eval("v", step=1.5), ValueError, "step must be"),
    (lambda client: client.arm("e", "a").eval("v", step=2**63), ValueError, "64 bits"),
    (lambda client: client.arm("e", "a").eval("\udcff"), ValueError, "surrogate"),
    (lambda client: client.arm("\udcff", "a").eval("v"), ValueError, "surrogate"),
    (lambda client: client.arm("e", "a").score(None), TypeError, "metric must be a string"),
    (lambda client: client.arm("e", "a").log({"m": "1"}), TypeError, "a number"),
    (lambda client: client.arm("e", "a").log({1: 1.0}), TypeError, "key of metrics"),
    (lambda client: client.arm("e", "a").log(["m"]), TypeError, "metrics must be a mapping"),
    (lambda client: client.arm("e", "a").log({"\udcff": 1.0}), ValueError, "surrogate"),
    (lambda client: client.arm("e", "a").log_eval("v", {}, tags="test"), TypeError, "tags"),
    (
        lambda client: client.arm("e", "a").log_eval("v", {}, breakdowns={1: 0, "1": 0}),
        ValueError,
        "two keys",
    ),
    (lambda client: client.arm("e", "a").finish("done"), ValueError, "status must be one of"),
    (lambda client: client.arm("e", "a").finish(run_result={}), TypeError, "run_result must be"),
    (lambda client: client.arm("e", "a").evals(min_step=0.5), ValueError, "min_step"),
    (lambda client: client.experiment("e").arms(status="done"), ValueError, "status must be"),
    (lambda client: client.experiment("e").arms(page_size="1"), TypeError, "page_size"),
    (lambda client: client.experiment("e").arms(config={"a": (1,)}), ValueError, "a pair"),
    (lambda client: client.experiment("e").arms(config={"a": ("1", 2)}), TypeError, "a number"),
    (lambda client: client.experiment("e").arms(config="a"), TypeError, "config must be a mapping"),
    (lambda client: client.experiment("e").arms(config={"a": {1}}), TypeError, r"config\['a'\]"),
    (lambda client: client.experiment("e").arms(page_size=2**31), ValueError, "page_size is 2147"),
    (
        lambda client: client.experiment("e").arms(page_size=-1),
        ValueError,
        "page_size is -1; give a number from 0 to 2147483647",
    ),
    (lambda client: client.experiment("e").scores(["m"], page_size=2**31), ValueError, "page_size"),
    (
        lambda client: client.experiment("e").rank_groups(min_members=2**31),
        ValueError,
        "min_members is 2147483648; give a number from 0 to 2147483647",
    ),
    (
        lambda client: client.arm("e", "a").eval("v", step=10**5000),
        ValueError,
        "step must be an integer of 64 bits, not one of 16,610 bits",
    ),
    (
        lambda client: client.record("e", [events.skipped()], podium.StreamPosition("w", 2**63)),
        ValueError,
        "first_sequence must be an integer of 64 bits",
    ),
    (lambda client: client.experiment("e").arms(tags="lora"), TypeError, "tags"),
    (lambda client: client.experiments(status=["done"]), ValueError, "status must be one of"),
    (lambda client: client.experiment("e").declare(direction="up"), ValueError, "direction must"),
    (lambda client: client.experiment("e").declare(metadata={"x": b""}), TypeError, "metadata"),
    (lambda client: client.experiment("e").start_arm({}), TypeError, "run_config must be"),
    (lambda client: client.experiment("e").start_arm(CONFIG, order=True), TypeError, "order"),
    (
        lambda client: client.experiment("e").start_arm(CONFIG, restart=True, resume_step=1),
        ValueError,
        "resume_step",
    ),
    (lambda client: client.experiment("e").record_arm(CONFIG), TypeError, "arm_result must be"),
    (lambda client: client.experiment("e").conclude(7), TypeError, "conclusion must be"),
    (lambda client: client.record("e", ["event"]), TypeError, "Event"),
]


async def test_wrong_arguments(client: AnyClient) -> None:
    """A wrong argument raises a TypeError or ValueError that names the problem, before any call."""
    for call, error, text in WRONG:
        with pytest.raises(error, match=text) as caught:
            await result(call(client))
        assert not isinstance(caught.value, podium.PodiumError)
        assert client._connection._opened is None


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tls": "ca.pem"}, r"tls must be a podium.TLS, a bool or None, not str; podium.TLS\(ca="),
        ({"token": 3}, "token must be a string, a path or None, not int"),
    ],
    ids=str,
)
def test_wrong_arguments_of_a_client(kind: Any, given: dict[str, Any], text: str) -> None:
    """A client cannot be made with a `tls` or `token` of a wrong type."""
    with pytest.raises(TypeError, match=text):
        kind("localhost:1", **given)


async def test_anything_that_is_an_index_is_a_step(client: AnyClient, declared: str) -> None:
    """A step can be any object with `__index__`, and a metric any object with `__float__`."""

    class Seven:
        def __index__(self) -> int:
            return 7

        def __float__(self) -> float:
            return 7.5

    await result(client.experiment(declared).start_arm(CONFIG))
    await result(client.arm(declared, "r").log_eval("v", {"m": Seven()}, step=Seven()))
    row = await result(client.arm(declared, "r").eval("v", step=Seven()))
    assert (row.step, row.metrics) == (7, {"m": 7.5})
    assert [r.step for r in await items(client.arm(declared, "r").evals(min_step=Seven()))] == [7]


async def test_an_event_carries_its_time(client: AnyClient, declared: str) -> None:
    """An event has the current time or a given one. A time without a time zone is rejected."""
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
    await result(client.experiment(declared).start_arm(CONFIG))
    row = events.eval_recorded("r", podium.EvalResult("v"), event_time=moment)
    await result(client.record(declared, [row]))
    assert (await result(client.arm(declared, "r").eval("v"))).event_time == moment
    before = dt.datetime.now(dt.UTC)
    await result(client.arm(declared, "r").log_eval("now", {}))
    after = dt.datetime.now(dt.UTC)
    assert before <= (await result(client.arm(declared, "r").eval("now"))).event_time <= after
    naive = moment.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        events.skipped(event_time=naive)
