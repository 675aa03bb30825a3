"""Members by name: the built-in ones, and those of plugins through the entry-point group `gridlens.members`."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from gridlens._errors import GridlensError

__all__ = ["ENTRY_POINT_GROUP", "known_members", "member_class"]

ENTRY_POINT_GROUP = "gridlens.members"

# Built-in members load without looking for plugins, which costs a scan of everything installed.
_BUILT_IN = {
    "elkan-noto": "gridlens.members:ElkanNotoMember",
    "lightgbm": "gridlens.members:LightGBMMember",
    "nnpu": "gridlens.members:NNPUMember",
}


def known_members() -> list[str]:
    """Names of the members that can be built here, sorted, the plugins' among them.

    Examples
    --------
    >>> "lightgbm" in known_members()
    True
    """
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def member_class(name: str) -> Any:
    """Return the class of the member called `name`.

    Raises
    ------
    GridlensError
        The name is unknown (the message lists the known ones), or its plugin does not import.

    Examples
    --------
    >>> member_class("lightgbm").name
    'lightgbm'
    """
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name].split(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            try:
                return point.load()
            except Exception as exc:
                raise GridlensError(
                    f"The member {name!r} cannot be loaded from {point.value}: {exc}. Repair or remove its plugin."
                ) from exc
    raise GridlensError(
        f"The 'members' parameter must name members among {', '.join(known_members())}. Got {name!r} instead. "
        "A plugin's members appear once it is installed."
    )
