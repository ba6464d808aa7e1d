"""The model and errors <-> the messages of podium.v1."""
