"""Tests of the exception classes and of the table of reasons."""

import pickle

import pytest
from podium import errors
from podium.v1 import error_reason_pb2

from tests.each import each

BUILTIN_PARENTS = [
    (errors.InvalidArgumentError, ValueError),
    (errors.NotFoundError, LookupError),
    (errors.UnavailableError, ConnectionError),
    (errors.DeadlineExceededError, TimeoutError),
    (errors.PermissionDeniedError, PermissionError),
    (errors.UnimplementedError, NotImplementedError),
    (errors.ClientStateError, RuntimeError),
    (errors.RecordingError, RuntimeError),
]


def test_reasons_are_the_proto_enum() -> None:
    """The table has exactly the reasons of the enum in the proto, in the same order."""
    names = [
        value.name.removeprefix("ERROR_REASON_")
        for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
        if value.number
    ]
    assert list(errors.REASONS) == names


def test_reasons_agree_with_the_comments_of_the_proto() -> None:
    """Each reason has the code and the disposition that its comment in the proto states."""
    for reason, info in errors.REASONS.items():
        words = [info.code, info.disposition] if info.disposition else [info.code]
        assert _first_sentence(reason) == ", ".join(words)


def _first_sentence(reason: str) -> str:
    stub = error_reason_pb2.__file__.removesuffix(".py") + ".pyi"
    with open(stub, encoding="utf-8") as file:  # noqa: PTH123 a path in a string
        text = file.read()
    comment = text.split(f"\nERROR_REASON_{reason}: ")[1].split('"""')[1]
    return comment.split(".")[0]


@each(("error_class", "parent"), BUILTIN_PARENTS)
def test_errors_are_also_builtin_errors(
    error_class: type[errors.PodiumError], parent: type[Exception]
) -> None:
    """An error can be caught as a PodiumError and as the built-in error of the same meaning."""
    with pytest.raises(parent, match="what was wrong"):
        raise error_class("what was wrong")
    assert issubclass(error_class, errors.PodiumError)


def test_a_reason_chooses_the_class() -> None:
    """error_for chooses the exception class by the code of the reason."""
    error = errors.error_for("STALE_ATTEMPT", "a newer attempt runs", {"arm": "a"})
    assert type(error) is errors.FailedPreconditionError
    assert (error.code, error.reason, error.message) == (
        "FAILED_PRECONDITION",
        "STALE_ATTEMPT",
        "a newer attempt runs",
    )
    assert error.metadata == {"arm": "a"}
    assert error.refusals == []
    assert str(error) == "a newer attempt runs"


def test_an_unknown_reason_is_a_mistake_of_the_caller() -> None:
    """error_for raises a KeyError for a reason that is not in the table."""
    with pytest.raises(KeyError):
        errors.error_for("NO_SUCH_REASON", "text")


def test_no_code_means_a_closed_client() -> None:
    """The code FAILED_PRECONDITION gives FailedPreconditionError, not ClientStateError.

    A code without a class of its own gives PodiumError.
    """
    assert errors.error_class_for("FAILED_PRECONDITION") is errors.FailedPreconditionError
    assert errors.error_class_for("DATA_LOSS") is errors.PodiumError


@each("error_class", [parent[0] for parent in BUILTIN_PARENTS])
def test_errors_survive_pickling(error_class: type[errors.PodiumError]) -> None:
    """A pickled error keeps its class and all of its fields."""
    refused = errors.RefusedEvent(3, "ARM_NOT_FOUND", permanent=False, message="no arm")
    error = error_class("text", reason="R", metadata={"k": "v"}, refusals=[refused])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 our own bytes
    assert type(copy) is error_class
    assert vars(copy) == vars(error)
    assert str(copy) == "text"
