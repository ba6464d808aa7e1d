"""Defines the meaning of writes, without I/O: rows and events become changes or errors.

`call` applies the events of a Record call, whose kinds are in `event_kinds`. `experiments`,
`arms`, `attempts`, `outcomes` and `rows` apply each kind to the `state` of the call. `derive`
updates primary evals and scores. `delete` removes arms and experiments.
"""

from podium_server.writes.call import RecordCall, RecordOutcome, refusal_of
from podium_server.writes.delete import DeleteArmCall, DeleteExperimentCall

__all__ = ["DeleteArmCall", "DeleteExperimentCall", "RecordCall", "RecordOutcome", "refusal_of"]
