"""Recording from a training: into an outbox, a file of this machine, and from there to a server.

The process that trains loads no gRPC and never waits for a server: events are appended to the
outbox, and a process beside it delivers them (`podium._sender`).
"""

from podium._recorder.arm import ArmRecording
from podium._recorder.counts import Counters, Flushed
from podium._recorder.experiment import ExperimentRecording
from podium._recorder.start_recording import record

__all__ = ["ArmRecording", "Counters", "ExperimentRecording", "Flushed", "record"]
