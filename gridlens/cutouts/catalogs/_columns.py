"""Column names of catalogues, and conversion of their units."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens._table_columns import CONTEXT_PREFIX
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

# Names that catalogues use for each quantity, ignoring case, a unit in brackets, "_", "-" and ".". The first name found
# is used.
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

# Units of the converted numbers; those in _LOGARITHMS are stored as decimal logarithms.
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
# Values of clusters are between these limits as logarithms, and above 10 to the power of the lower limit as plain
# numbers.
_LOGARITHMS = {"log_xray_luminosity": (38.0, 48.0), "log_mass": (11.0, 17.0)}
# Brackets after these names may hold a remark, such as "z (spec)" or "depth (5 sigma)": text that is not a unit is
# ignored.
_REMARKED = ("depth", "redshift", "richness")
# Common spellings, in lower case, of units that astropy spells differently.
_SPELLINGS = {
    **dict.fromkeys(("degrees", "degs", "degree", "deg", "d:m:s", "dd:mm:ss", "dms", "°"), "deg"),
    **dict.fromkeys(("radians", "radian"), "rad"),
    **dict.fromkeys(("arcseconds", "arcsecs", "arc seconds", '"', "''", "asec"), "arcsec"),
    **dict.fromkeys(("arcminutes", "arcmins", "'"), "arcmin"),
}
# These are used for angles only: otherwise an hour is a time.
_HOURS = {"h", "hr", "hrs", "hour", "hours", "hourangle", "h:m:s", "hh:mm:ss", "hms"}
# A frame may appear after a position in place of a unit, as in RA (J2000).
_NO_UNIT = {"", "-", "--", "none", "null", "dimensionless", "1", "j2000", "j2000.0", "icrs", "fk5"}
_SIGN = "DE-"  # sign of declinations whose degrees, minutes and seconds are separate columns
# Without a unit, these are probably the size of the object in pixels.
_NEED_UNIT = {"fwhm"}
_BRACKET = re.compile(r"^(.*?)\s*[\[(]([^\[\]()]*(?:\([^()]*\))?)[\])]$")
_LOG_UNIT = re.compile(r"^(?:log10|log|dex)\s*\(?\s*(.*?)\s*\)?$", re.IGNORECASE)


def split_unit(column: Any) -> tuple[str, str]:
    """Split "RA [deg]" into the name and the unit, "" if there is none."""
    text = str(column).strip()
    found = _BRACKET.match(text)
    return (found.group(1), found.group(2).strip()) if found else (text, "")


def catalog_rank(stated: Mapping[str, str] | None) -> Rank:
    """Return a function that ranks tables by their column names: positions first, then ids."""

    def rank(names: Sequence[Any]) -> int:
        try:
            chosen = choose_columns(names, stated, "")
        except GridlensError:
            chosen = choose_columns(names, None, "")
        return 2 if {"ra", "dec"} <= set(chosen) else int("id" in chosen)

    return rank


def magnitude_z(columns: Iterable[Any]) -> Any:
    """Return the column z if it is next to g and r, and so a magnitude rather than a redshift; else None."""
    bands = {_plain(name): column for column in columns for name, unit in [split_unit(column)] if unit in ("", "mag")}
    return bands.get("z") if {"g", "r"} <= bands.keys() else None


def choose_columns(
    columns: Iterable[Any],
    stated: Mapping[str, str] | None,
    source: str,
    units: Mapping[Any, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Map the names used here to columns of the catalogue; columns given by the caller take precedence.

    `units` are the units that the file gives separately from the column names.

    Raises
    ------
    GridlensError
        A name given by the caller is unknown, or its column is not in the catalogue.
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
        if str(wanted).startswith(CONTEXT_PREFIX):
            raise GridlensError(
                f"The 'columns' parameter must not name columns of catalogue context, which no model may see. Got "
                f"{wanted!r} instead; name a column of the catalogue of clusters."
            )
        column = next((column for column in columns if str(column) == str(wanted)), plain.get(_plain(wanted)))
        if column is None:
            raise GridlensError(
                f"The catalogue {source} has no column {wanted!r}, which was given for {name}. It has "
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
    """Return whether text such as 12:09:23.7 in this column is in hours, as for right ascensions without a unit."""
    unit = unit.strip().lower()
    return unit in _HOURS or (name in ("ra", "bcg_ra") and unit in _NO_UNIT)


def to_contract(name: str, values: NDArray[np.float64], column: Any, unit: str, source: str) -> NDArray[np.float64]:
    """Convert the numbers of a column to the unit used by `CutoutSet`: degrees, arcsec, mag, km/s, log10 erg/s ...

    For luminosities and masses without a unit, the size of the values shows whether they are logarithms.

    Raises
    ------
    GridlensError
        The unit cannot be converted, or a luminosity or mass has no unit and its values are ambiguous.
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
            f"{'log10 of ' if logarithm else ''}{wanted or 'a plain number'}. Convert it, or use another column: "
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
        # mag(AB) is a magnitude, regardless of its zero point
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
    """Raise GridlensError for right ascensions of LSST without a unit that could be radians or degrees."""
    known = values[np.isfinite(values)]
    if _plain(column) == "coordra" and known.size and (np.abs(known) <= 2 * np.pi).all():
        raise GridlensError(
            f"The column {str(column)!r} of the catalogue {source} has no unit, and its values could be radians or "
            "degrees. Add the unit to the file, as in 'coord_ra [rad]'."
        )


def _guessed(name: str, values: NDArray[np.float64], column: Any, source: str) -> NDArray[np.float64]:
    known = values[np.isfinite(values)]
    low, high = _LOGARITHMS[name]
    # missing-value marks such as -99 say nothing about the unit
    telling = known[((known >= low) & (known <= high)) | (known >= 10**low)]
    if not known.size or (telling.size and np.median(telling) <= high):
        return values
    if telling.size:
        return _log10(values)
    raise GridlensError(
        f"The column {str(column)!r} of the catalogue {source} has no unit, and values such as {known[0]:g} are "
        f"neither {_UNITS[name]} nor their logarithm. Add the unit to the file, as in '{split_unit(column)[0]} "
        f"[1e14 {_UNITS[name]}]', or remove the column."
    )


def _log10(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the decimal logarithm; NaN for numbers that are not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(values > 0.0, np.log10(values), np.nan)
