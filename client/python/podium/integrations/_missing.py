"""What is said where a library is not installed."""

__all__ = ["missing"]


def missing(module: str, package: str, cause: ImportError) -> ImportError:
    """The error of a module whose library cannot be imported.

    Args:
        module: The module's name in this package.
        package: What to install.
        cause: Why the library cannot be imported.
    """
    return ImportError(
        f"podium.integrations.{module} needs {package}, which cannot be imported ({cause}); "
        f"install it: pip install {package}",
        name=cause.name,
        path=cause.path,
    )
