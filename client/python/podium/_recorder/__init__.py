"""Records the events of a training in the outbox, which consists of local files.

The training process loads no gRPC and never waits for a server. Another process delivers the events
(`podium._sender`).
"""

from podium._recorder.arm import ArmRecording
from podium._recorder.counts import Counters, Flushed
from podium._recorder.experiment import ExperimentRecording
from podium._recorder.start_recording import record

__all__ = ["ArmRecording", "Counters", "ExperimentRecording", "Flushed", "record"]
