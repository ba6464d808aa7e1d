"""Podium: stores the results of experiments, and answers `eval()` and `score()` for each arm.

    with podium.Client("localhost:50051") as client:
        arm = client.arm("rank_sweep", "lora_rank4")
        arm.eval("val", step=100)
        arm.score("test.pass_rate")

All public names can be imported from this package. Importing it is quick and loads neither grpc nor
protobuf, so that a training process can fork. The module that defines a name is loaded when the
name is first used.
"""

from importlib import import_module

# Type checkers treat this name like typing.TYPE_CHECKING. Importing typing would take most of the
# time of `import podium`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from podium import comparing, curves, errors, events, plots, ranking, scoring, statistics
    from podium._client.aio.arm import AsyncArmHandle
    from podium._client.aio.attempt import AsyncArmRun, AsyncArmStart
    from podium._client.aio.client import AsyncClient
    from podium._client.aio.experiment import AsyncExperimentHandle
    from podium._client.aio.follower import AsyncLive
    from podium._client.blocking.arm import ArmHandle
    from podium._client.blocking.attempt import ArmRun
    from podium._client.blocking.client import Client
    from podium._client.blocking.experiment import ExperimentHandle
    from podium._client.blocking.follower import Live
    from podium._client.listing import AsyncListing, Listing
    from podium._client.live_state import LiveArm, LiveState
    from podium._interface.recorders import ArmRecorder, ExperimentRecorder
    from podium._interface.timed_eval import AsyncEvaluation, Evaluation
    from podium._limits.limits import Limits
    from podium._model.access import IssuedToken, Token, TokenLimits
    from podium._model.listings import Metric, MetricSource, Server
    from podium._model.recording import KeptField, RecordResult, ReplacedAttempt, StreamPosition
    from podium._model.results import (
        Annotations,
        ArmCounts,
        ArmResult,
        ArmStatus,
        ArmSummary,
        Attempt,
        Component,
        DataConfig,
        Direction,
        EvalResult,
        Experiment,
        ExperimentStatus,
        ModelConfig,
        Provenance,
        RunConfig,
        RunResult,
        Value,
    )
    from podium._model.score_matrix import ScoreColumn, ScoredArm, ScoreMatrix
    from podium._model.watching import (
        WatchedArm,
        WatchedEval,
        WatchedSeries,
        WatchMarker,
        WatchRemoval,
        WatchUpdate,
    )
    from podium._recorder import ArmRecording, Counters, ExperimentRecording, Flushed, record
    from podium._values.enums import ComparisonFlag, Role
    from podium._values.tls import TLS
    from podium.comparing import ComparedMetric, ComparedSide, Comparison
    from podium.curves import Curve, CurvePoint, Curves, Series
    from podium.errors import (
        AbortedError,
        CanceledError,
        ClientStateError,
        DeadlineExceededError,
        FailedPreconditionError,
        InternalError,
        InvalidArgumentError,
        NotFoundError,
        OutOfRangeError,
        PermissionDeniedError,
        PodiumError,
        RecordingError,
        RefusedEvent,
        ResourceExhaustedError,
        UnauthenticatedError,
        UnavailableError,
        UnimplementedError,
    )
    from podium.ranking import (
        ExperimentResult,
        GroupRanking,
        RankCounts,
        RankedArm,
        RankedGroup,
        RankFlag,
        RankGroupCounts,
        Ranking,
        RankSource,
        ScoreSource,
    )
    from podium.scoring import Score, ScoreOrigin

    __version__: str

__all__ = [
    "TLS",
    "AbortedError",
    "Annotations",
    "ArmCounts",
    "ArmHandle",
    "ArmRecorder",
    "ArmRecording",
    "ArmResult",
    "ArmRun",
    "ArmStatus",
    "ArmSummary",
    "AsyncArmHandle",
    "AsyncArmRun",
    "AsyncArmStart",
    "AsyncClient",
    "AsyncEvaluation",
    "AsyncExperimentHandle",
    "AsyncListing",
    "AsyncLive",
    "Attempt",
    "CanceledError",
    "Client",
    "ClientStateError",
    "ComparedMetric",
    "ComparedSide",
    "Comparison",
    "ComparisonFlag",
    "Component",
    "Counters",
    "Curve",
    "CurvePoint",
    "Curves",
    "DataConfig",
    "DeadlineExceededError",
    "Direction",
    "EvalResult",
    "Evaluation",
    "Experiment",
    "ExperimentHandle",
    "ExperimentRecorder",
    "ExperimentRecording",
    "ExperimentResult",
    "ExperimentStatus",
    "FailedPreconditionError",
    "Flushed",
    "GroupRanking",
    "InternalError",
    "InvalidArgumentError",
    "IssuedToken",
    "KeptField",
    "Limits",
    "Listing",
    "Live",
    "LiveArm",
    "LiveState",
    "Metric",
    "MetricSource",
    "ModelConfig",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "PodiumError",
    "Provenance",
    "RankCounts",
    "RankFlag",
    "RankGroupCounts",
    "RankSource",
    "RankedArm",
    "RankedGroup",
    "Ranking",
    "RecordResult",
    "RecordingError",
    "RefusedEvent",
    "ReplacedAttempt",
    "ResourceExhaustedError",
    "Role",
    "RunConfig",
    "RunResult",
    "Score",
    "ScoreColumn",
    "ScoreMatrix",
    "ScoreOrigin",
    "ScoreSource",
    "ScoredArm",
    "Series",
    "Server",
    "StreamPosition",
    "Token",
    "TokenLimits",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "Value",
    "WatchMarker",
    "WatchRemoval",
    "WatchUpdate",
    "WatchedArm",
    "WatchedEval",
    "WatchedSeries",
    "comparing",
    "curves",
    "errors",
    "events",
    "plots",
    "ranking",
    "record",
    "scoring",
    "statistics",
]

_SUBMODULES = (
    "comparing",
    "curves",
    "errors",
    "events",
    "plots",
    "ranking",
    "scoring",
    "statistics",
)

# The modules that define the public names, in the order in which a name is searched in them.
# Modules that load neither grpc nor protobuf come first.
_SOURCES = (
    "errors",
    "_model.results",
    "scoring",
    "_values.enums",
    "_values.tls",
    "comparing",
    "curves",
    "ranking",
    "_model.score_matrix",
    "_model.listings",
    "_model.access",
    "_limits.limits",
    "_interface.recorders",
    "_model.recording",
    "_model.watching",
    "_interface.timed_eval",
    "_recorder",
    "_client.live_state",
    "_client.blocking.follower",
    "_client.aio.follower",
    "_client.blocking.client",
    "_client.blocking.experiment",
    "_client.blocking.arm",
    "_client.blocking.attempt",
    "_client.aio.client",
    "_client.aio.experiment",
    "_client.aio.arm",
    "_client.aio.attempt",
    "_client.listing",
)


if not TYPE_CHECKING:  # otherwise, a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in {*__all__, "__version__"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = _find(name)
        globals()[name] = value
        return value


def _find(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    modules = (import_module(f"{__name__}.{source}") for source in _SOURCES)
    return next(getattr(module, name) for module in modules if name in module.__all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
