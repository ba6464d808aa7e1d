"""Tests that read and write gRPC statuses with random texts and details."""

import grpc
from hypothesis import given
from hypothesis import strategies as st
from podium import errors
from podium._wire.status import DETAILS_KEY, from_rpc_error, to_status

from tests.unit.wire.test_status import FailedCall


@given(
    code=st.sampled_from([*grpc.StatusCode, None]),
    text=st.none() | st.text(),
    details=st.binary() | st.text(),
)
def test_any_status_becomes_an_error(
    code: grpc.StatusCode | None, text: str | None, details: str | bytes
) -> None:
    """A gRPC status is read as a PodiumError, whatever its code, text and details are."""
    error = from_rpc_error(FailedCall(code, text, ((DETAILS_KEY, details),)))
    assert isinstance(error, errors.PodiumError)


@given(text=st.text(min_size=300) | st.text("\ud800é%\n\x00", min_size=300))
def test_any_text_is_cut_to_its_budget(text: str) -> None:
    """The text of a status has at most 1 KiB as gRPC encodes it, even with lone surrogates."""
    status = to_status(errors.InternalError(text))
    plain = sum(" " <= character <= "~" and character != "%" for character in status.text)
    assert plain + 3 * (len(status.text.encode()) - plain) <= 1024
