"""Trainers that record to Podium by one line each: a module for every library, loaded by its name.

None of the libraries is needed by Podium; a module whose library is not installed says what to
install. All of them record by `podium.record`: training goes on whatever happens to the server.
"""

__all__: list[str] = []
