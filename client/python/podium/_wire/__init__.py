"""Converts the model and errors to and from the messages of podium.v1."""
