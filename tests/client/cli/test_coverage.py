"""Commands use every rpc, every kind of event, and almost every field of the requests."""

import json
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from podium.cli._parsers import COMMANDS, SERVER_COMMANDS
from podium.v1 import event_pb2

from tests.client.cli.shell import podium
from tests.client.client.broken import grpc_server
from tests.client.client.test_coverage import RPCS, fields_in, fields_of

CONFIG = {"name": "a"}
ATTEMPT = {"id": "job", "order": 1}
EVENTS: dict[str, list[dict[str, Any]]] = {
    "experiment_declared": [
        {
            "hypothesis": "h",
            "success_metric": "m",
            "parent": "p",
            "direction": "minimize",
            "tags": ["t"],
            "metadata": {"k": 1},
            "overwrite": True,
        },
        {"clear_fields": ["hypothesis"]},
    ],
    "arm_started": [
        {
            "arm": "a",
            "run_config": CONFIG,
            "attempt": ATTEMPT,
            "group_id": "g",
            "group_name": "g",
            "run_id": "r",
            "resume_step": 3,
        },
        {"run_config": CONFIG, "attempt": ATTEMPT, "restart": True, "provenance": {"host": "n"}},
    ],
    "metrics_recorded": [{"arm": "a", "attempt_id": "job", "metrics": {"m": 1}, "step": 3}],
    "eval_recorded": [{"arm": "a", "attempt_id": "job", "eval_result": {"name": "v"}}],
    "arm_finished": [
        {
            "arm": "a",
            "attempt_id": "job",
            "status": "failed",
            "error": "e",
            "train_seconds": 1,
            "run_result": {"run_id": "r", "status": "ok"},
        }
    ],
    "arm_recorded": [
        {"arm_result": {"name": "a", "run_config": CONFIG, "status": "pending"}, "replace": True}
    ],
    "experiment_concluded": [{"conclusion": "c"}],
    "skipped": [{"event_time": "2026-01-01T00:00:00Z"}],
    "arm_annotated": [
        {"arm": "a", "notes": "n", "group_name": "g", "add_tags": ["t"], "remove_tags": ["u"]},
        {"arm": "a", "notes": "", "group_name": ""},
    ],
}

# rpc -> commands that together set every field of its request.
USES: dict[str, list[str]] = {
    "Eval": ["eval e a v --step 0"],
    "Score": ["score e a m"],
    "GetArm": ["show e a"],
    "ListArms": [
        "arms e --status failed --group g --prefix p --tag t",
        "arms e --config a=1 --config b=1..2",
    ],
    "ListEvals": ["evals e a --name v --min-step 1 --max-step 2"],
    "ListMetrics": ["metrics e"],
    "ListSeries": ["series e a m --min-step 1 --max-step 2 --page-size 1"],
    "GetExperiment": ["show e"],
    "GetServer": ["server"],
    "ListExperiments": ["experiments --prefix p --status failed --tag t"],
    "Rank": [
        "rank e --metric m --minimize --status failed --by-group --min-members 2",
        "rank e --group g --prefix p --tag t --config a=1 --config b=1..2",
    ],
    "Scores": [
        "scores e m --status failed --group g --prefix p --tag t",
        "scores e m --config a=1 --config b=1..2",
    ],
    "Watch": [
        "watch e --status failed --group g --prefix p --no-evals --after 3 --epoch x",
        "watch e --no-breakdowns --series loss",
    ],
    "Record": ["record e -"],
    "WhoAmI": ["whoami"],
    "CreateToken": ["token create t --role reader --prefix p --expires-in 9d --limit watches=1"],
    "ListTokens": ["token list"],
    "RevokeToken": ["token revoke t"],
    "DeleteArm": ["delete e a --yes --allow-missing"],
    "DeleteExperiment": ["delete e --yes --allow-missing"],
}

NOT_OFFERED = {
    # `import --dry-run` sends this field, after other calls; see test_importing.py.
    "podium.v1.RecordRequest.validate_only",
    # Only a sender, which delivers a stream, sends these fields.
    "podium.v1.RecordRequest.position",
    "podium.v1.StreamPosition.writer_id",
    "podium.v1.StreamPosition.first_sequence",
}


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_every_field_of_every_rpc_is_sent(rpc: MethodDescriptor) -> None:
    """The commands of an rpc set every field of its request, except those in NOT_OFFERED."""
    sent: set[str] = set()

    def answer(raw: bytes, _context: grpc.ServicerContext) -> bytes:
        request: Any = GetMessageClass(rpc.input_type)()
        request.ParseFromString(raw)
        sent.update(fields_in(request))
        response: Any = GetMessageClass(rpc.output_type)()
        if "next_page_token" in rpc.output_type.fields_by_name and not request.page_token:
            response.next_page_token = "next"  # noqa: S105 - no secret
        if "deleted" in rpc.output_type.fields_by_name:
            response.deleted = True
        return bytes(response.SerializeToString())

    lines = [json.dumps({"event": kind, **event}) for kind in EVENTS for event in EVENTS[kind]]
    errors = ""
    # `arms` asks for the metrics, too.
    answers = {"ListMetrics": lambda _raw, _context: b"", rpc.name: answer}
    with grpc_server(**answers) as address:
        for use in USES[rpc.name]:
            done = podium(*use.split(), address=address, stdin="\n".join(lines))
            assert "Traceback" not in done.err
            errors += done.err
    assert sent == fields_of(rpc.input_type) - NOT_OFFERED, errors


def test_every_command_is_tried() -> None:
    """Each command has an entry in USES, except the commands that this test lists."""
    tried = {use.split()[0] for uses in USES.values() for use in uses}
    comparing = {"compare", "completion", "curve", "export", "report"}
    untried = comparing | {
        "annotate",
        "conclude",
        "declare",
        "doctor",
        "finish",
        "health",
        "import",
        "outbox",
        "page",
        "sync",
    }
    assert tried | untried | SERVER_COMMANDS.keys() == COMMANDS.keys()


def test_every_kind_of_event_has_its_form() -> None:
    """Each kind of event in the proto has a JSON form with the same name."""
    kinds = event_pb2.Event.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert [kind.name for kind in kinds] == list(EVENTS)
    unknown = podium("record", "e", "-", stdin='{"event": "x"}').err
    assert all(kind.name in unknown for kind in kinds)
