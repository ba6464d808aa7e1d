"""The sender: the process that delivers outboxes, and what `podium sync` shares with it."""
