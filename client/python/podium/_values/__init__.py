"""What callers may pass, and the base of the dataclasses: imports nothing else of Podium."""
