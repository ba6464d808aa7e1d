"""Converts results, requests and errors to and from the messages of podium.v1."""
