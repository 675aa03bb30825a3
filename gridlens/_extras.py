"""Optional packages, checked before the work begins."""

from importlib import import_module

from gridlens.errors import GridlensError

__all__ = ["check_extra"]


def check_extra(extra: str, packages: tuple[str, ...], what: str) -> None:
    """Raise GridlensError if a package cannot be imported.

    Parameters
    ----------
    extra : str
        Extra of gridlens that installs the packages.
    packages : tuple of str
        Names under which they are imported.
    what : str
        Feature that needs them, in the plural, for the message: "Reports".

    Examples
    --------
    >>> check_extra("explain", ("json",), "Reports")
    """
    for name in packages:
        try:
            import_module(name)
        except ImportError as exc:
            raise GridlensError(f"{what} need the package {name}: pip install 'gridlens[{extra}]'.") from exc
