"""Registry of members, built-in and from plugins, through the entry-point group `gridlens.members`."""

import ast
import re
import warnings
from importlib.metadata import EntryPoint, EntryPoints, PackageNotFoundError, distribution, entry_points
from importlib.util import find_spec
from typing import Any, NamedTuple

from gridlens.errors import GridlensError

__all__ = [
    "ENTRY_POINT_GROUP",
    "MemberInfo",
    "build_member",
    "known_members",
    "list_members",
    "member_class",
    "split_members",
]

ENTRY_POINT_GROUP = "gridlens.members"

# Distribution of the built-in members.
_OWN = "gridlens"


class MemberInfo(NamedTuple):
    """Description of an installed member from `list_members`."""

    name: str
    consumes: str
    """"features" or "cutouts"; "" if the member cannot be loaded"""
    source: str
    """"gridlens" for a built-in member, otherwise the plugin and its version"""
    status: str
    """"ok", or the reason why it cannot be used or can only score"""
    summary: str
    """first line of its docstring"""


def known_members() -> list[str]:
    """Return the sorted names of the installed members, including those of plugins, without loading them.

    Returns
    -------
    list of str

    Raises
    ------
    GridlensError
        If gridlens is not installed, so that its own members cannot be found.

    Examples
    --------
    >>> "lightgbm" in known_members()
    True
    """
    return sorted(_points())


def list_members() -> list[MemberInfo]:
    """Load and describe all installed members; one that fails to load gives the reason and does not affect the others.

    Returns
    -------
    list of MemberInfo
        Sorted by name.

    Raises
    ------
    GridlensError
        As for `known_members`.

    Examples
    --------
    >>> [member.status for member in list_members() if member.name == "lightgbm"]
    ['ok']
    """
    return [_described(name, points) for name, points in sorted(_points().items())]


def member_class(name: str) -> Any:
    """Return the class of the member called `name`.

    Parameters
    ----------
    name : str

    Returns
    -------
    type

    Raises
    ------
    GridlensError
        If gridlens is not installed, the name is unknown (the message lists the known ones), two plugins claim it, its
        plugin fails to load, or a package that it requires is not installed.

    Examples
    --------
    >>> member_class("lightgbm").name
    'lightgbm'
    """
    # Built-in members are found without a scan of all installed distributions.
    own = _own_points().get(name)
    return _class_of(name, [own] if own is not None else _points().get(name, []))


def build_member(spec: str, random_state: int | None = None) -> Any:
    """Build an unfitted member from its name, with optional parameters in parentheses.

    Parameters
    ----------
    spec : str
        Such as "patch" or "patch(n_estimators=300, top_k=2)"; values are numbers, quoted strings, True, False or None.
    random_state : int, default=None
        Passed to a member with this parameter, unless the specification contains it.

    Raises
    ------
    GridlensError
        As for `member_class`; or if a package that the member requires for fitting is not installed, the specification
        is invalid, or the member does not have a parameter (the message lists those that it has).

    Examples
    --------
    >>> build_member("patch(n_estimators=300)").n_estimators
    300
    """
    name, parameters = _parsed(spec)
    kind = member_class(name)
    refusal = _fit_refusal(kind)
    if refusal:
        raise GridlensError(refusal)
    known = kind().get_params()
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise GridlensError(
            f"The member {name!r} has no parameter {', '.join(map(repr, unknown))}. It has {', '.join(sorted(known))}."
        )
    if random_state is not None and "random_state" in known:
        parameters = {"random_state": random_state, **parameters}
    return kind(**parameters)


def split_members(text: str) -> tuple[str, ...]:
    """Split a list of members at its commas; those in parentheses belong to one member.

    Examples
    --------
    >>> split_members("lightgbm, patch(n_estimators=300, top_k=2)")
    ('lightgbm', 'patch(n_estimators=300, top_k=2)')
    """
    return tuple(part.strip() for part in re.split(r",(?![^()]*\))", text))


def _parsed(spec: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters. Values must be literals, so no code is run."""
    found = re.fullmatch(r"\s*([^()\s]+)\s*(?:\((.*)\))?\s*", spec, flags=re.DOTALL)
    try:
        if found is None:
            raise ValueError("no name")
        call = ast.parse(f"member({found[2] or ''})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(word.arg is None for word in call.keywords):
            raise ValueError("not only words and values")
        return found[1], {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError) as exc:
        raise GridlensError(
            "The 'members' parameter must name members, optionally with parameters, such as "
            f"'patch(n_estimators=300)'. Got {spec!r} instead."
        ) from exc


def _own_points() -> dict[str, EntryPoint]:
    """Return the entry points of the built-in members, by name."""
    try:
        points = distribution(_OWN).entry_points.select(group=ENTRY_POINT_GROUP)
    except PackageNotFoundError:
        points = EntryPoints()
    own = {point.name: point for point in points}
    if not any(point.value.startswith(f"{_OWN}.") for point in own.values()):
        raise GridlensError(
            "The members of gridlens are found through the metadata of its installation, which is missing or older "
            "than the code. Install it: `pip install gridlens`, or `pip install -e .` in a checkout."
        )
    return own


def _points() -> dict[str, list[EntryPoint]]:
    """Return all entry points by name, without plugins that claim a built-in name, which cause a warning."""
    own = _own_points()
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {name: {("", ""): point} for name, point in own.items()}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if _is_own(point):
            continue
        if point.name in own:
            warnings.warn(
                f"The plugin {_source(point)} claims the name of the built-in member {point.name!r} and is not used "
                "for it. Ask its authors for another name.",
                UserWarning,
                stacklevel=3,
            )
            continue
        # A distribution may be found twice, through two entries of the path.
        found.setdefault(point.name, {})[point.value, _source(point)] = point
    return {name: list(points.values()) for name, points in found.items()}


def _is_own(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == _OWN


def _class_of(name: str, points: list[EntryPoint]) -> Any:
    if not points:
        raise GridlensError(
            f"The 'members' parameter must name members among {', '.join(known_members())}. Got {name!r} instead. "
            "The members of a plugin are available once it is installed."
        )
    if len(points) > 1:
        claims = " and ".join(sorted(_source(point) for point in points))
        raise GridlensError(f"The member {name!r} is claimed by {claims}. Remove one of these plugins.")
    return _equipped(_loaded(points[0]))


def _source(point: EntryPoint) -> str:
    if _is_own(point):
        return _OWN
    return "an unnamed plugin" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _loaded(point: EntryPoint) -> Any:
    try:
        member = point.load()
    # SystemExit: a plugin that exits must not end this process.
    except (Exception, SystemExit) as exc:
        raise GridlensError(
            f"The member {point.name!r} cannot be loaded from {point.value}: {_reason(exc)}. Repair or remove "
            f"{_source(point)}."
        ) from exc
    if getattr(member, "name", None) != point.name:
        raise GridlensError(
            f"The member {point.name!r} of {_source(point)} has the name {getattr(member, 'name', None)!r}. The class "
            "attribute 'name' must equal the name of its entry point, because tables and model files use it."
        )
    return member


def _equipped(member: Any) -> Any:
    """Return the class itself; raise GridlensError if a package that it needs to score is missing."""
    missing, extra = _missing(getattr(member, "requires", ()))
    if missing:
        raise GridlensError(
            f"The member {member.name!r} needs packages that are not installed: {missing}. Install them with "
            f"`pip install '{extra}'`."
        )
    return member


def _fit_refusal(member: Any) -> str:
    """Return a sentence on packages that are missing for fitting a member; "" if none is missing."""
    missing, extra = _missing(getattr(member, "requires_to_fit", ()))
    if not missing:
        return ""
    return (
        f"The member {member.name!r} can score, but fitting it requires packages that are not installed: {missing}. "
        f"Install them with `pip install '{extra}'`."
    )


def _missing(requires: tuple[str, ...]) -> tuple[str, str]:
    """Return the missing modules of `requires` as text, and the package to install for them."""
    *modules, extra = requires or ("",)
    missing = [module for module in modules if not any(_is_there(one) for one in module.split("|"))]
    return ", ".join(module.replace("|", " or ") for module in missing), extra


def _is_there(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    # Raised by finders that block the module, and if it is disabled in `sys.modules`.
    except (ImportError, ValueError):
        return False


def _reason(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__


def _described(name: str, points: list[EntryPoint]) -> MemberInfo:
    source = " and ".join(sorted(_source(point) for point in points))
    try:
        member = _class_of(name, points)
    except GridlensError as exc:
        return MemberInfo(name, "", source, str(exc), "")
    lines = (member.__doc__ or "").strip().splitlines()
    status = _fit_refusal(member) or "ok"
    return MemberInfo(name, str(member.consumes), source, status, lines[0] if lines else "")
