"""Recording from a training: into an outbox, a file of this machine, and from there to a server.

The process that trains loads no gRPC and never waits for a server: events are appended to the
outbox, and a process beside it delivers them (`podium._sender`).
"""

from podium._recording.arm import ArmRecording
from podium._recording.beginning import record
from podium._recording.counts import Counters, Flushed
from podium._recording.experiment import ExperimentRecording

__all__ = ["ArmRecording", "Counters", "ExperimentRecording", "Flushed", "record"]
