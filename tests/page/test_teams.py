"""Tests that a team finds out nothing about another team's results through the page."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
from podium_server.serve import tokens

from tests.page.browser import Browser
from tests.page.conftest import Server
from tests.page.data import record_sweep
from tests.server.access.test_every_rpc import CASES, RPCS

_HIDDEN, _ABSENT = "nlp/sweep", "nlp/never"
"""An experiment of the other team, and one that does not exist. The names are equally long."""
_SECRETS = ("Wider is better", "small_2", "diverged", "0.902")
_FETCH = """
const [path, text, type, done] = arguments;
const body = new TextEncoder().encode(text);
const framed = new Uint8Array(body.length + 5);
new DataView(framed.buffer).setUint32(1, body.length);
framed.set(body, 5);
fetch(path, {
    method: "POST",
    headers: { "content-type": type, "connect-protocol-version": "1" },
    body: type.includes("connect") ? framed : body,
}).then(async (answer) => done([answer.status, await answer.text()]));
"""


def _views(experiment: str) -> list[dict[str, str | list[str]]]:
    ways: list[dict[str, str | list[str]]] = [
        {},
        {"by": "arm"},
        {"view": "curves"},
        {"view": "scatter"},
        {"arm": "wide_1"},
        {"arm": "wide_1", "row": "test"},
        {"by": "arm", "metric": "test.acc", "group": "wide"},
    ]
    return [{"experiment": experiment, **way} for way in ways]


def _create(folder: Path, name: str, role: str, prefix: str) -> str:
    return tokens.create(f"sqlite:///{folder / 'podium.db'}", name, role, (prefix,), None)[1]


def _signed_in(browser: Browser, server: Server, token: str) -> None:
    browser.open(server.url)
    browser.type("input[name=token]", token)
    browser.click("Show results")


def test_no_view_tells_another_team_anything(
    serve: Callable[..., Server], browser: Browser, tmp_path: Path
) -> None:
    """Each view of another team's experiment equals that of an experiment that does not exist.

    The list of experiments does not contain it.
    """
    browser.ignore("401", "404")
    theirs, ours = (_create(tmp_path, name, "recorder", name) for name in ("nlp", "vision"))
    server = serve(auth="tokens")
    with (
        podium.Client(server.address, token=theirs) as other,
        podium.Client(server.address, token=ours) as own,
    ):
        own.experiment("vision/own").declare(success_metric="m")
        _signed_in(browser, server, ours)
        browser.sees("vision/own")
        record_sweep(other)
        other.experiment("nlp/more").declare()
        own.experiment("vision/second").declare()
        browser.open(server.url)
        browser.sees("vision/second")
        assert "nlp" not in browser.text()
        for hidden, absent in zip(_views(_HIDDEN), _views(_ABSENT), strict=True):
            browser.open(server.url, **absent)
            browser.sees("There is no such experiment or arm")
            expected = browser.text()
            browser.open(server.url, **hidden)
            browser.sees("There is no such experiment or arm")
            shown = browser.text()
            assert shown.replace(_HIDDEN, _ABSENT) == expected, hidden
            assert [secret for secret in _SECRETS if secret in shown] == [], hidden


def test_no_call_of_a_page_tells_another_team_anything(
    serve: Callable[..., Server], browser: Browser, tmp_path: Path
) -> None:
    """A script in the page gets the same answers for a hidden and a missing experiment.

    With the cookie alone, it can neither record, delete, manage tokens nor read metrics.
    """
    browser.ignore("401", "403", "404", "405", "500")
    theirs, ours = (_create(tmp_path, name, "admin", name) for name in ("nlp", "vision"))
    server = serve(auth="tokens")
    with podium.Client(server.address, token=theirs) as other:
        record_sweep(other)
        before = other.experiment(_HIDDEN).get()
        _signed_in(browser, server, ours)
        browser.sees("No experiment has been recorded yet.")

        def ask(name: str, body: Any, kind: str = "application/json") -> tuple[int, str]:
            path = f"/{RPCS[name].containing_service.full_name}/{name}"
            return tuple(browser.driver.execute_async_script(_FETCH, path, json.dumps(body), kind))

        for name, (_, body) in CASES.items():
            is_read = RPCS[name].containing_service.name == "ResultsService"
            kind = "application/connect+json" if RPCS[name].server_streaming else "application/json"
            hidden, absent = (
                ask(name, body | ({"experiment": each} if _takes(name) else {}), kind)
                for each in (_HIDDEN, _ABSENT)
            )
            if _takes(name):
                assert _comparable(hidden[1]) == _comparable(absent[1]), name
                assert len(hidden[1]) == len(absent[1]), name
            assert hidden[0] == absent[0], name
            assert not any(secret in hidden[1] for secret in _SECRETS), name
            assert is_read or (hidden[0], "TOKEN_MISSING" in hidden[1]) == (401, True), name
        metrics = "fetch('/metrics').then((each) => arguments[0](each.status))"
        assert browser.driver.execute_async_script(metrics) == 401
        assert other.experiment(_HIDDEN).get() == before


def _comparable(answer: str) -> str:
    """Returns an answer without the name and the binary details, in which the name is encoded."""
    return re.sub(r'"value": ?"[^"]*"', "", answer).replace(_HIDDEN, _ABSENT)


def _takes(rpc: str) -> bool:
    """Returns whether the request of an rpc names an experiment."""
    return "experiment" in RPCS[rpc].input_type.fields_by_name
