"""The meaning of writes, once and pure: loaded rows and events become changes or refusals.

`call` has the calls that a store runs, `state` what one of them has loaded and changed so
far, `experiments`, `arms` and `rows` what each event does, `derive` what follows for
primary evals and scores, `delete` the deletions.
"""

from podium_server.writes.call import RecordCall, RecordOutcome
from podium_server.writes.delete import DeleteArmCall, DeleteExperimentCall

__all__ = ["DeleteArmCall", "DeleteExperimentCall", "RecordCall", "RecordOutcome"]
