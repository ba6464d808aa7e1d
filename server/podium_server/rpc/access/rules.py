"""The access rule of each method: the required role, and the request field with the experiment.

A server does not start if a method has no rule, or if a rule does not fit its method's request.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from podium.v1.recording_service_pb2 import RecordRequest

from podium_server.api.callers import CALLER
from podium_server.errors import unknown_experiment
from podium_server.rpc.telemetry import CURRENT_CALL, METRICS_PAGE, SESSION_PAGE
from podium_server.store.tokens import Role
from podium_server.writes import refusal_of

__all__ = ["RULES", "Rule", "RuleError", "check_rules", "name_check"]


class Rule(NamedTuple):
    """What a method requires of a caller's token: a role, and an allowed experiment."""

    role: Role | None
    """The lowest role that is allowed. None also allows callers without a token."""
    field: str | None = None
    """The request field with the name of the experiment.

    The caller's token must allow this name.
    """
    is_about_all: bool = False
    """Whether the response is about all experiments. Then the token must not have prefixes."""


class RuleError(Exception):
    """The rules and the served methods do not fit together.

    A method has no rule, a rule has no method, or a rule and its method's request differ in the
    field with the experiment.
    """


_ONE = "experiment"
_READ, _RECORD, _ADMIN = (Rule(role, _ONE) for role in Role)
_PUBLIC = Rule(None)

RULES: Mapping[str, Rule] = {
    "podium.v1.ResultsService.Eval": _READ,
    "podium.v1.ResultsService.Score": _READ,
    "podium.v1.ResultsService.GetArm": _READ,
    "podium.v1.ResultsService.ListArms": _READ,
    "podium.v1.ResultsService.ListEvals": _READ,
    "podium.v1.ResultsService.ListSeries": _READ,
    "podium.v1.ResultsService.GetExperiment": _READ,
    # The list shows only experiments that the token allows.
    "podium.v1.ResultsService.ListExperiments": Rule(Role.READER),
    "podium.v1.ResultsService.Rank": _READ,
    "podium.v1.ResultsService.Scores": _READ,
    "podium.v1.ResultsService.ListMetrics": _READ,
    "podium.v1.ResultsService.Watch": _READ,
    "podium.v1.ResultsService.GetServer": Rule(Role.READER),
    "podium.v1.RecordingService.Record": _RECORD,
    "podium.v1.RecordingService.DeleteArm": _ADMIN,
    "podium.v1.RecordingService.DeleteExperiment": _ADMIN,
    "podium.v1.AccessService.WhoAmI": Rule(Role.READER),
    # These calls only show and change tokens within the prefixes of the caller's token.
    "podium.v1.AccessService.CreateToken": Rule(Role.ADMIN),
    "podium.v1.AccessService.ListTokens": Rule(Role.ADMIN),
    "podium.v1.AccessService.RevokeToken": Rule(Role.ADMIN),
    METRICS_PAGE: Rule(Role.READER, is_about_all=True),
    # This page only stores the caller's own token in a cookie.
    SESSION_PAGE: Rule(Role.READER),
    # Load balancers and tools call these without a token. Everybody gets the same answers.
    "grpc.health.v1.Health.Check": _PUBLIC,
    "grpc.health.v1.Health.List": _PUBLIC,
    "grpc.health.v1.Health.Watch": _PUBLIC,
    "grpc.reflection.v1.ServerReflection.ServerReflectionInfo": _PUBLIC,
    "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo": _PUBLIC,
}
_OPTIONAL = {
    "grpc.health.v1.Health.List",
    "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo",
    METRICS_PAGE,
    SESSION_PAGE,
}
"""Rules whose methods a server may lack.

The oldest health service has no List, and not every server has reflection or answers HTTP.
"""


def check_rules(methods: Iterable[str]) -> None:
    """Raises RuleError if a served method has no rule.

    Also raises RuleError if the method of a rule is not served, unless it is in `_OPTIONAL`.
    """
    served = set(methods)
    missing, unused = sorted(served - RULES.keys()), sorted(RULES.keys() - served - _OPTIONAL)
    if missing or unused:
        raise RuleError(f"methods without an access rule: {missing}; rules of no method: {unused}")


def name_check(method: MethodDescriptor) -> Callable[[Any], bytes | None]:
    """Returns a function that checks the requests of a method.

    The function returns None if the call may continue. If the caller's prefixes exclude the
    experiment, it returns the response, or raises the error, for a missing experiment.

    Raises:
        RuleError: The method has no rule, or its rule and its request differ in the field with
            the experiment.
    """
    rule = RULES.get(method.full_name)
    names = [name for name in method.input_type.fields_by_name if name == _ONE]
    if rule is None:
        raise RuleError(f"{method.full_name} has no access rule; add one to RULES")
    if names != [rule.field] * bool(rule.field):
        raise RuleError(
            f"the rule of {method.full_name} in RULES has the field {rule.field!r}, but its "
            f"request names an experiment in {', '.join(names) or 'no field'}; correct the rule"
        )
    field = rule.field
    if field is None:
        return lambda _request: None

    def check(request: Any) -> bytes | None:
        if CALLER.get().allows(getattr(request, field)):
            return None
        call = CURRENT_CALL.get()
        if call is not None:
            call.hidden_name = getattr(request, field)
        return _as_missing(request, getattr(request, field))

    return check


def _as_missing(request: Any, experiment: str) -> bytes:
    """Treats an experiment as if it did not exist.

    Returns an empty response if the request allows that, else raises the error.
    """
    if getattr(request, "allow_missing", False):
        return b""
    error = unknown_experiment(experiment)
    if isinstance(request, RecordRequest):
        raise refusal_of([(index, error) for index in range(len(request.events))] or [(0, error)])
    raise error
