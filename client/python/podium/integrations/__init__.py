"""Records training runs of other libraries with one line each: one module for each library.

Podium does not depend on the libraries. A module whose library is missing raises an ImportError
that names the package to install. All modules use `podium.record`, so a training run continues if
the server cannot be reached.
"""

__all__: list[str] = []
