"""Tests of the page `/metrics`, which has the server's metrics for Prometheus."""

import asyncio
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import podium
import pytest
from podium.errors import error_for
from podium_server.histogram import Histogram
from podium_server.rpc import telemetry
from podium_server.rpc.telemetry import Telemetry
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import only_sqlite, store_url

pytest.importorskip("connectrpc")


async def _page(url: str, token: str | None = None, method: str = "GET") -> tuple[int, str]:
    def send() -> tuple[int, str]:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
        try:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            connection.request(method, "/metrics", headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(send)


@only_sqlite
async def test_the_page_counts_calls_and_commits(tmp_path: Path) -> None:
    """`/metrics` has calls by method and code, errors by reason, and times.

    It also has metrics of the store.
    """
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [address, url]:
        async with podium.AsyncClient(address) as client:
            await client.experiment("x").declare()
            for _ in range(3):
                await client.experiment("x").get()
            with pytest.raises(podium.NotFoundError):
                await client.experiment("y").get()
        status, text = await _page(url)
    lines = set(text.splitlines())
    assert status == 200
    get = "podium.v1.ResultsService.GetExperiment"
    for line in (
        f'podium_calls_total{{method="{get}",code="OK"}} 3',
        f'podium_calls_total{{method="{get}",code="NOT_FOUND"}} 1',
        'podium_errors_total{reason="EXPERIMENT_NOT_FOUND"} 1',
        f'podium_call_seconds_bucket{{method="{get}",le="+Inf"}} 3',
        f'podium_call_seconds_count{{method="{get}"}} 3',
        "# TYPE podium_commit_calls histogram",
        'podium_commit_calls_bucket{le="1"} 1',
        "podium_commit_calls_sum 1",
        "podium_commit_calls_count 1",
        "podium_commit_seconds_count 1",
        "podium_queue_seconds_count 1",
        "podium_waiting_writes 0",
        "podium_stored_rows 1",
        "podium_watches 0",
        "podium_calls_under_way 0",
        "podium_overloaded_total 0",
    ):
        assert line in lines, line
    [size] = [line for line in lines if line.startswith("podium_store_bytes ")]
    assert int(size.split()[1]) >= (tmp_path / "podium.db").stat().st_size > 0


async def test_who_may_see_the_page(tmp_path: Path) -> None:
    """`/metrics` needs a token without prefixes, since it is about all experiments."""
    store = store_url(tmp_path)

    def create(prefixes: tuple[str, ...]) -> str:
        return tokens.create(store, "t", "reader", prefixes, None)[1]

    everything = await asyncio.to_thread(create, ())
    limited = await asyncio.to_thread(create, ("team",))
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, url]:
        assert (await _page(url, everything))[0] == 200
        status, text = await _page(url, limited)
        assert (status, "needs a token without prefixes" in text) == (403, True)
        assert (await _page(url))[0] == 401
        assert (await _page(url, everything, "POST"))[0] == 405


async def test_every_end_of_a_call_is_counted() -> None:
    """Rejected, cancelled and failed calls are counted with their codes.

    The page has the times of successful calls only. It has none of streams.
    """
    telemetry = Telemetry(streams=["s"])
    for error in (
        None,
        error_for("OVERLOADED", "full"),
        asyncio.CancelledError(),
        ZeroDivisionError(),
    ):
        await telemetry.call("m", "p").end(error)
    await telemetry.call("s", "p").end(None)
    lines = (await telemetry.text()).splitlines()
    assert [line for line in lines if line.startswith("podium_calls_total")] == [
        'podium_calls_total{method="m",code="CANCELLED"} 1',
        'podium_calls_total{method="m",code="INTERNAL"} 1',
        'podium_calls_total{method="m",code="OK"} 1',
        'podium_calls_total{method="m",code="RESOURCE_EXHAUSTED"} 1',
        'podium_calls_total{method="s",code="OK"} 1',
    ]
    assert 'podium_errors_total{reason="INTERNAL"} 1' in lines
    assert 'podium_errors_total{reason="OVERLOADED"} 1' in lines
    assert [line for line in lines if "_count" in line] == [
        'podium_call_seconds_count{method="m"} 1'
    ]


async def test_a_histogram_counts_up_to_its_bounds() -> None:
    """A bucket counts the numbers up to its bound, inclusive. The last bucket counts them all."""
    histogram = Histogram((1, 2.5))
    for number in (1, 1.5, 2.5, 3):
        histogram.add(number)
    assert list(histogram.lines("h", 'm="x"')) == [
        'h_bucket{m="x",le="1"} 1',
        'h_bucket{m="x",le="2.5"} 3',
        'h_bucket{m="x",le="+Inf"} 4',
        'h_sum{m="x"} 8',
        'h_count{m="x"} 4',
    ]
    assert list(Histogram(()).lines("h")) == ['h_bucket{le="+Inf"} 0', "h_sum 0", "h_count 0"]


async def test_the_lag_is_the_greatest_of_one_to_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The outbox lag is the greatest that was reported in this minute or the previous one.

    Reports that are not finite numbers are ignored.
    """
    minute = [100]
    monkeypatch.setattr(telemetry, "_minute", lambda: minute[0])
    counted, name = Telemetry(), "podium_outbox_lag_seconds "

    async def lag() -> str:
        return next(line for line in (await counted.text()).splitlines() if line.startswith(name))

    counted.note_lag(["9", "x", "nan", "inf", "30.5", "2"])
    assert await lag() == f"{name}30.5"
    minute[0] += 1
    counted.note_lag(["4"])
    assert await lag() == f"{name}30.5"
    minute[0] += 1
    assert await lag() == f"{name}4"
    counted.note_lag(["5"])
    minute[0] += 2
    assert await lag() == f"{name}0"


async def test_metrics_with_labels_share_one_type() -> None:
    """Each metric has one TYPE line, whatever its labels are.

    A metric is a counter if its name ends with `_total`.
    """
    numbers = {'rows{token="x"}': 1.0, 'lost_total{disk="a"}': 2.0, 'rows{token="y"}': 0.5}

    async def slow() -> dict[str, float]:
        return {"stored": 3.0}

    text = await Telemetry([lambda: numbers], slow_gauges=slow).text()
    assert text.splitlines()[-7:] == [
        "# TYPE podium_lost_total counter",
        'podium_lost_total{disk="a"} 2',
        "# TYPE podium_rows gauge",
        'podium_rows{token="x"} 1',
        'podium_rows{token="y"} 0.5',
        "# TYPE podium_stored gauge",
        "podium_stored 3",
    ]


async def test_a_call_releases_its_share_once() -> None:
    """A call gives back its share of its caller's limits when it ends, and not a second time."""
    released: list[str] = []
    call = Telemetry().call("m", "p")
    call.on_end = partial(released.append, "share")
    await call.end(None)
    call.release()
    assert released == ["share"]
