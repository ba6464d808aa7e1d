"""The keys of gRPC metadata that clients send and servers read."""

__all__ = ["OUTBOX_LAG_KEY"]

OUTBOX_LAG_KEY = "podium-outbox-lag"
"""The key under which a sender sends the age, in seconds, of the oldest undelivered event."""
