"""The error for a library that is not installed."""

__all__ = ["missing"]


def missing(module: str, package: str, cause: ImportError) -> ImportError:
    """Returns the ImportError of an integration whose library cannot be imported."""
    return ImportError(
        f"podium.integrations.{module} needs {package}, which cannot be imported ({cause}); "
        f"install it: pip install {package}",
        name=cause.name,
        path=cause.path,
    )
