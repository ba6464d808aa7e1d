"""Page tokens: only a place that a server can have written is accepted."""

import grpc
import pytest
from podium._wire.status import from_rpc_error
from podium.errors import InvalidArgumentError
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED
from podium.v1.experiment_pb2 import DIRECTION_MAXIMIZE
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import ListArmsRequest, ListExperimentsRequest, RankRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.api.pages import read_token, write_token
from podium_server.testing import running_server
from podium_server.testing.calls import declared

_QUERY = ListArmsRequest(experiment="x", name_prefix="a")


@pytest.mark.parametrize("place", [0, 1, 41, 10**17])
def test_a_token_leads_back_to_its_place(place: int) -> None:
    """What a page ended with is where the next one begins, whatever its size."""
    token = write_token(_QUERY, place)
    next_page = ListArmsRequest(experiment="x", name_prefix="a", page_size=7, page_token=token)
    assert read_token(next_page, token, -1) == place


@pytest.mark.parametrize(
    "place", ["-1", "+1", " 1", "1.0", "1_0", "٣", "x", "0x1", "9" * 19, "1\n"]
)
def test_a_place_that_is_no_number_is_refused(place: str) -> None:
    """A token with the right digest, but with a place that is not a number from 0, is invalid."""
    token = write_token(_QUERY, place)
    with pytest.raises(InvalidArgumentError) as raised:
        read_token(_QUERY, token, -1)
    assert raised.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    "place",
    [
        "1,0,0,1",
        "1,0,0,1,1,1",
        "1,x,0,1,1",
        "1,0,0,-1,1",
        "1,0,0,1,-1",
        "1,9223372036854775808,0,1,1",
        "1,0,-9223372036854775809,1,1",
    ],
)
def test_a_place_in_a_ranking_that_cannot_be_is_refused(place: str) -> None:
    """The numbers of a ranking's token are checked one by one, although its digest is right."""
    query = RankRequest(
        experiment="x",
        metric="m",
        direction=DIRECTION_MAXIMIZE,
        statuses=[ARM_STATUS_COMPLETED],
    )
    query.page_token = write_token(query, place)
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        events = [declared()]
        RecordingServiceStub(channel).Record(RecordRequest(experiment="x", events=events))
        with pytest.raises(grpc.RpcError) as raised:
            ResultsServiceStub(channel).Rank(query, timeout=20)
    assert from_rpc_error(raised.value).reason == "PAGE_TOKEN_INVALID"


def test_a_token_of_another_query_is_refused() -> None:
    """A token belongs to the fields of its request, and to its rpc."""
    token = write_token(_QUERY, 1)
    for other in (ListArmsRequest(experiment="x"), ListExperimentsRequest(name_prefix="a")):
        with pytest.raises(InvalidArgumentError):
            read_token(other, token, -1)
