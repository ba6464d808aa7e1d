"""The error for a library that is not installed."""

__all__ = ["missing"]


def missing(module: str, package: str, cause: ImportError) -> ImportError:
    """Returns the error of a module whose library cannot be imported.

    Args:
        module: The module's name in this package.
        package: The package to install.
        cause: The error of the import.
    """
    return ImportError(
        f"podium.integrations.{module} needs {package}, which cannot be imported ({cause}); "
        f"install it: pip install {package}",
        name=cause.name,
        path=cause.path,
    )
