"""Podium: the results of experiment arms, and one answer to `eval()` and `score()`."""
