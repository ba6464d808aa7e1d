"""The error for a library that is not installed."""

__all__ = ["missing"]


def missing(module: str, package: str, cause: ImportError) -> ImportError:
    """Returns the ImportError of an integration whose library cannot be imported.

    Args:
        module: The name of the integration's module, such as `keras`.
        package: The package to install, as an argument of `pip install`.
        cause: The error of the library's import.
    """
    return ImportError(
        f"podium.integrations.{module} needs {package}, which cannot be imported ({cause}); "
        f"install it: pip install {package}",
        name=cause.name,
        path=cause.path,
    )
