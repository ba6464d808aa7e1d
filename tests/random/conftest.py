"""Settings of hypothesis for the tests in this folder."""

from hypothesis import settings

settings.register_profile("tests", max_examples=100, deadline=None)
settings.load_profile("tests")
