"""The columns of a catalogue: by which names they are found, and what units their numbers come in."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens._table_source import UNNAMED_INDEX, Rank
from gridlens.cutouts._conventions import METADATA_NAMES
from gridlens.errors import GridlensError

__all__ = [
    "ANGLES",
    "COLUMN_NAMES",
    "catalog_rank",
    "choose_columns",
    "in_hours",
    "magnitude_z",
    "split_unit",
    "to_contract",
]

# Names that catalogues give to what is understood; case, a unit in brackets, "_", "-" and "." aside. The first found
# wins.
_ALIASES: dict[str, tuple[str, ...]] = {
    "id": (
        *("id", "name", "cluster_id", "cluster_name", "cluster", "objid", "object_id", "mem_match_id"),
        *("objname", "object", "source_id", "source_name", "target", "designation"),
        *("main_id", "object_name", "coadd_object_id"),
        UNNAMED_INDEX,
    ),
    "ra": (
        *("ra", "raj2000", "ra_j2000", "ra_deg", "ra_icrs", "radeg", "right_ascension", "alpha_j2000", "alpha"),
        *("alphawin_j2000", "ra_mean", "ra_stack", "coord_ra"),
    ),
    "dec": (
        *("dec", "dej2000", "decj2000", "dec_j2000", "dec_deg", "de_icrs", "dec_icrs", "decdeg", "declination"),
        *("delta_j2000", "delta", "decl", "de", "dedeg", "de_deg", "deltawin_j2000", "dec_mean", "dec_stack"),
        "coord_dec",
    ),
    "bcg_x": ("bcg_x", "x_bcg"),
    "bcg_y": ("bcg_y", "y_bcg"),
    "bcg_ra": ("bcg_ra", "ra_bcg", "bcg_raj2000", "ra_deg_bcg"),
    "bcg_dec": ("bcg_dec", "dec_bcg", "bcg_dej2000", "bcg_decj2000", "dec_deg_bcg"),
    "seeing": ("seeing", "psf_fwhm", "fwhm", "seeing_r", "psf_fwhm_r"),
    "depth": ("depth", "depth_r", "maglim", "mag_lim", "maglim_r", "limmag", "limmag_r"),
    "redshift": (
        *("redshift", "z", "z_cl", "z_cluster", "z_lambda", "zlens", "z_lens", "z_spec", "spec_z", "bcg_spec_z"),
        *("redshift_spec", "z_phot", "zph", "photo_z", "redshift_phot", "specz_redshift"),
    ),
    "richness": ("richness", "lambda", "lambda_chisq", "lambda_chi", "rich", "n_mem", "n200", "n_200", "rl*", "r_l*"),
    "log_xray_luminosity": (
        *("log_xray_luminosity", "log_lx", "log_l_x", "log_l500", "xray_luminosity", "lx", "l_x", "lx500", "l500"),
        *("lx_500",),
    ),
    "velocity_dispersion": ("velocity_dispersion", "sigma_v", "sigmav", "vel_disp", "veldisp", "vdisp"),
    "log_mass": (
        *("log_mass", "log_m500", "log_m200", "log_m500c", "log_m200c", "log_m200m", "mass"),
        *("m500", "m200", "m500c", "m200c", "m200m", "m_500", "m_200"),
    ),
}
COLUMN_NAMES = tuple(_ALIASES)
ANGLES = ("ra", "dec", "bcg_ra", "bcg_dec")
assert set(METADATA_NAMES) <= set(COLUMN_NAMES)

# What the numbers must end in; those in _LOGARITHMS as their decimal logarithm.
_UNITS = {
    **dict.fromkeys(ANGLES, "deg"),
    "seeing": "arcsec",
    "depth": "mag",
    "redshift": "",
    "richness": "",
    "velocity_dispersion": "km / s",
    "log_xray_luminosity": "erg / s",
    "log_mass": "solMass",
}
# Between these lie logarithms of what clusters have, and above 10 to the power of the first the numbers themselves.
_LOGARITHMS = {"log_xray_luminosity": (38.0, 48.0), "log_mass": (11.0, 17.0)}
# Brackets behind these may hold a remark, such as "z (spec)" or "depth (5 sigma)": what is no unit is passed over.
_REMARKED = ("depth", "redshift", "richness")
# What people and archives write for units that astropy spells otherwise, in small letters.
_SPELLINGS = {
    **dict.fromkeys(("degrees", "degs", "degree", "deg", "d:m:s", "dd:mm:ss", "dms", "°"), "deg"),
    **dict.fromkeys(("radians", "radian"), "rad"),
    **dict.fromkeys(("arcseconds", "arcsecs", "arc seconds", '"', "''", "asec"), "arcsec"),
    **dict.fromkeys(("arcminutes", "arcmins", "'"), "arcmin"),
}
# Of angles alone: elsewhere an hour is a time.
_HOURS = {"h", "hr", "hrs", "hour", "hours", "hourangle", "h:m:s", "hh:mm:ss", "hms"}
# Names of a frame stand behind positions as units do: RA (J2000).
_NO_UNIT = {"", "-", "--", "none", "null", "dimensionless", "1", "j2000", "j2000.0", "icrs", "fk5"}
_SIGN = "DE-"  # of declinations whose degrees, minutes and seconds are columns of their own
# Without a unit these are rather the size of the object, in pixels.
_NEED_UNIT = {"fwhm"}
_BRACKET = re.compile(r"^(.*?)\s*[\[(]([^\[\]()]*(?:\([^()]*\))?)[\])]$")
_LOG_UNIT = re.compile(r"^(?:log10|log|dex)\s*\(?\s*(.*?)\s*\)?$", re.IGNORECASE)


def split_unit(column: Any) -> tuple[str, str]:
    """Split "RA [deg]" into the name and the unit, "" where there is none."""
    text = str(column).strip()
    found = _BRACKET.match(text)
    return (found.group(1), found.group(2).strip()) if found else (text, "")


def catalog_rank(stated: Mapping[str, str] | None) -> Rank:
    """Return a function that ranks tables by their names: those with positions first, then those with ids."""

    def rank(names: Sequence[Any]) -> int:
        try:
            chosen = choose_columns(names, stated, "")
        except GridlensError:
            chosen = choose_columns(names, None, "")
        return 2 if {"ra", "dec"} <= set(chosen) else int("id" in chosen)

    return rank


def magnitude_z(columns: Iterable[Any]) -> Any:
    """Return the column z where it stands beside g and r, and is a magnitude and not a redshift; else None."""
    bands = {_plain(name): column for column in columns for name, unit in [split_unit(column)] if unit in ("", "mag")}
    return bands.get("z") if {"g", "r"} <= bands.keys() else None


def choose_columns(
    columns: Iterable[Any],
    stated: Mapping[str, str] | None,
    source: str,
    units: Mapping[Any, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Find the columns that are understood: the catalogue's by ours, those that are stated first.

    `units` are those that the file states besides its names.

    Raises
    ------
    GridlensError
        A name that is stated is not one of ours, or its column is not in the catalogue.
    """
    columns = list(columns)
    plain: dict[str, Any] = {}
    for column in columns:
        if column != _SIGN:
            plain.setdefault(_plain(split_unit(column)[0]), column)
    chosen = {}
    for name, wanted in (stated or {}).items():
        if name not in _ALIASES:
            raise GridlensError(
                f"The 'columns' parameter must name columns among {', '.join(_ALIASES)}. Got {name!r} instead."
            )
        column = next((column for column in columns if str(column) == str(wanted)), plain.get(_plain(wanted)))
        if column is None:
            raise GridlensError(
                f"The catalogue {source} has no column {wanted!r} to be read as {name}. It has "
                f"{', '.join(map(str, columns)) or 'no columns'}."
            )
        chosen[name] = column
    taken = {*chosen.values(), magnitude_z(columns)}
    for name, aliases in _ALIASES.items():
        found = (plain[alias] for alias in map(_plain, aliases) if alias in plain)
        found = (column for column in found if _has_needed_unit(name, column, units))
        column = next((column for column in found if column not in taken), None)
        if name not in chosen and column is not None:
            chosen[name] = column
    return {name: chosen[name] for name in _ALIASES if name in chosen}


def _plain(column: Any) -> str:
    return re.sub(r"[\s._-]+", "", str(column).strip().lower())


def _has_needed_unit(name: str, column: Any, units: Mapping[Any, str]) -> bool:
    plain, unit = split_unit(column)
    return _plain(plain) not in _NEED_UNIT or _factor(units.get(column) or unit, _UNITS[name]) is not None


def in_hours(name: str, unit: str) -> bool:
    """Whether text such as 12:09:23.7 in a column of this name and unit is in hours: right ascensions without one."""
    unit = unit.strip().lower()
    return unit in _HOURS or (name in ("ra", "bcg_ra") and unit in _NO_UNIT)


def to_contract(name: str, values: NDArray[np.float64], column: Any, unit: str, source: str) -> NDArray[np.float64]:
    """Bring the numbers of a column to the unit that `CutoutSet` keeps: degrees, arcsec, mag, km/s, log10 erg/s ...

    Luminosities and masses without a unit are told by their size: of a cluster's logarithm, or of the number itself.

    Raises
    ------
    GridlensError
        The unit cannot be converted, or a luminosity or mass has none and could be anything.
    """
    unit = unit.strip()
    wanted = _UNITS.get(name)
    if wanted is None:
        return values
    logarithm = _LOGARITHMS.get(name)
    if unit.lower() in _NO_UNIT:
        _refuse_radians(values, column, source)
        return values if logarithm is None else _guessed(name, values, column, source)
    is_log = _LOG_UNIT.match(unit)
    plain = (is_log.group(1) if is_log else unit) or wanted
    if name in ANGLES and plain.lower() in _HOURS:
        plain = "hourangle"
    if name in _REMARKED and not _is_unit(plain):
        return values
    factor = _factor(plain, wanted)
    if factor is None or (is_log and logarithm is None):
        raise GridlensError(
            f"The column {str(column)!r} of the catalogue {source} is in {unit!r}, which cannot be converted to "
            f"{'log10 of ' if logarithm else ''}{wanted or 'a plain number'}. Convert it, or name another column: "
            f'columns={{"{name}": COLUMN}}.'
        )
    if logarithm is None:
        return values * factor
    if is_log or _plain(column).startswith("log"):
        return values + np.log10(factor)
    return _log10(values * factor)


def _factor(unit: str, wanted: str) -> float | None:
    from astropy import units

    try:
        found = units.Unit(_SPELLINGS.get(unit.lower(), unit))
        # mag(AB) is a magnitude, whatever its zero point
        return float(getattr(found, "function_unit", found).to(wanted))
    except (ValueError, TypeError, units.UnitsError):
        return None


def _is_unit(unit: str) -> bool:
    from astropy import units

    try:
        units.Unit(unit)
    except (ValueError, TypeError):
        return False
    return True


def _refuse_radians(values: NDArray[np.float64], column: Any, source: str) -> None:
    """Raise for right ascensions of LSST without a unit that may be radians as well as degrees."""
    known = values[np.isfinite(values)]
    if _plain(column) == "coordra" and known.size and (np.abs(known) <= 2 * np.pi).all():
        raise GridlensError(
            f"The column {str(column)!r} of the catalogue {source} has no unit, and its values may be radians or "
            "degrees. Write the unit into the file, as in 'coord_ra [rad]'."
        )


def _guessed(name: str, values: NDArray[np.float64], column: Any, source: str) -> NDArray[np.float64]:
    known = values[np.isfinite(values)]
    low, high = _LOGARITHMS[name]
    # marks such as -99 tell nothing of the unit
    telling = known[((known >= low) & (known <= high)) | (known >= 10**low)]
    if not known.size or (telling.size and np.median(telling) <= high):
        return values
    if telling.size:
        return _log10(values)
    raise GridlensError(
        f"The column {str(column)!r} of the catalogue {source} has no unit, and values such as {known[0]:g} are "
        f"neither {_UNITS[name]} nor their logarithm. Write the unit into the file, as in '{split_unit(column)[0]} "
        f"[1e14 {_UNITS[name]}]', or leave the column out."
    )


def _log10(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decimal logarithm, NaN of what is not above 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(values > 0.0, np.log10(values), np.nan)
