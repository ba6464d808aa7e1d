"""Implements `podium.record`: a training process writes its events to local files, the outbox.

The training process loads no gRPC and never waits for a server. Another process, the sender
(`podium._sender`), delivers the events.
"""

from podium._recorder.arm import ArmRecording
from podium._recorder.counts import Counters, Flushed
from podium._recorder.experiment import ExperimentRecording
from podium._recorder.start_recording import record

__all__ = ["ArmRecording", "Counters", "ExperimentRecording", "Flushed", "record"]
