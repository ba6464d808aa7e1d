"""What handles of a server and recorders into an outbox have in common."""
