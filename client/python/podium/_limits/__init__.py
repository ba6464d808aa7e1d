"""Limits of requests and stored results, and their checks."""
