"""Lists of known lenses: the bundled one, your own catalogues, and exports of SLED."""

import contextlib
import json
import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlens.cutouts.catalogs import read_catalog
from gridlens.cutouts.catalogs._catalog import read_with_kept
from gridlens.errors import GridlensError

__all__ = ["GRADES", "RADII", "bundled_record", "known_lenses", "read_known_lenses"]

# Match radii by type, arcsec.
RADII: Mapping[str, float] = {"galaxy": 10.0, "group": 30.0, "cluster": 60.0}
# "unverified" rows are in catalogues of clusters only; a "contaminant" is an object that was taken for a lens.
GRADES = ("confident", "probable", "unverified", "contaminant")
_COLUMNS = ("name", "ra", "dec", "type", "grade", "z", "ref")
# Words that SLED has for types and flags.
_SLED_TYPES = {"CLUSTER": "cluster", "CLUSTER MEMBER": "cluster", "GROUP": "group", "GALAXY PAIR": "group"}
_SLED_GRADES = {"CONFIRMED": "confident", "CANDIDATE": "probable", "CONTAMINANT": "contaminant"}


def known_lenses() -> pd.DataFrame:
    """Return the bundled list of known lenses, a checked copy of lenscat.

    Returns
    -------
    DataFrame
        `name` (str), `ra` and `dec` (degrees, ICRS), `type` (galaxy, group or cluster), `grade` (confident, probable or
        unverified), `z` (redshift of the lens, NaN where unknown) and `ref` (up to two references). An unverified row
        is only in catalogues of clusters, of X-ray sources or of pairs of galaxies. The attributes hold the source, its
        version and licence, and the counts of the build.

    Examples
    --------
    >>> from gridlens.context import known_lenses
    >>> lenses = known_lenses()
    >>> lenses.attrs["version"]
    '1.1.3'
    >>> int((lenses["type"] == "cluster").sum()) > 500
    True
    """
    table = _bundled().copy()
    table.attrs = bundled_record()
    return table


def bundled_record() -> dict[str, Any]:
    """Return the source, version, licence, hashes and counts of the bundled list."""
    text = resources.files("gridlens.context").joinpath("data", "known_lenses.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@lru_cache(maxsize=1)
def _bundled() -> pd.DataFrame:
    with resources.files("gridlens.context").joinpath("data", "known_lenses.parquet").open("rb") as file:
        return pd.read_parquet(file)


def read_known_lenses(path: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read your own catalogue of known lenses, or a JSON export of SLED.

    Parameters
    ----------
    path : str, path or DataFrame
        Table with positions under the names that `gridlens.cutouts.read_catalog` knows, and optionally an id, a
        redshift, and the columns `type` (galaxy, group, cluster), `grade` (confident, probable, unverified,
        contaminant) and `ref`; or the JSON of SLED: a list of objects, or one with the key "lenses". A row without
        a type is a cluster, and one without a grade is confident.

    Returns
    -------
    DataFrame
        The columns of `known_lenses`. Rows without a position are left out; ``attrs["left_out"]`` counts them.

    Raises
    ------
    GridlensError
        The file cannot be read, has no positions, or holds an unknown type or grade.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.context import read_known_lenses
    >>> mine = read_known_lenses(pd.DataFrame({"Name": ["A1703"], "RAJ2000": [198.77], "DEJ2000": [51.82]}))
    >>> mine[["name", "ra", "dec", "type", "grade"]]
        name      ra    dec     type      grade
    0  A1703  198.77  51.82  cluster  confident
    """
    if isinstance(path, pd.DataFrame):
        return _from_catalog(path, "in memory")
    if Path(path).suffix.lower() == ".json":
        return _from_sled(Path(path))
    return _from_catalog(path, str(path))


def _from_catalog(catalog: Any, source: str) -> pd.DataFrame:
    table = read_catalog(catalog)
    if not {"ra", "dec"} <= set(table):
        raise GridlensError(
            f"The catalogue of known lenses {source} must have positions. Got the columns {', '.join(table)} instead. "
            "Add the columns ra and dec, in degrees."
        )
    words = {}
    for name in ("type", "grade", "ref"):
        # An optional column; the warnings of the catalogue were shown above.
        with contextlib.suppress(GridlensError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            words[name] = read_with_kept(catalog, None, [name])[1].frame[name]
    return _tidy(
        pd.DataFrame(
            {
                "name": table.get("id", ""),
                "ra": table["ra"],
                "dec": table["dec"],
                "type": words.get("type", "cluster"),
                "grade": words.get("grade", "confident"),
                "z": table.get("redshift", np.nan),
                "ref": words.get("ref", ""),
            }
        ),
        source,
    )


def _from_sled(path: Path) -> pd.DataFrame:
    """Read the answer of SLED's query-lenses-full, or the list of lenses in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GridlensError(f"There is no catalogue {path}. Check the path.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise GridlensError(f"The catalogue {path} is not valid JSON ({exc}). Download it again.") from None
    entries = found.get("lenses") if isinstance(found, dict) else found
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise GridlensError(f"The catalogue {path} must be a list of objects, or have one under the key 'lenses'.")
    if entries and not any({"ra", "dec"} <= entry.keys() for entry in entries):
        raise GridlensError(f"The catalogue {path} has no positions. Export the fields ra and dec.")
    return _tidy(pd.DataFrame([_sled_row(entry) for entry in entries], columns=list(_COLUMNS)), str(path))


def _sled_row(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    kinds = entry.get("lens_type") or ""
    kinds = kinds if isinstance(kinds, list) else str(kinds).split(",")
    kind = next((_SLED_TYPES[word] for word in map(_upper, kinds) if word in _SLED_TYPES), "galaxy")
    flag = _upper(entry.get("flag") or "")
    if not flag:
        flag = "CONTAMINANT" if entry.get("flag_contaminant") else "CONFIRMED" if entry.get("flag_confirmed") else ""
    redshift = entry.get("z_lens")
    for one in entry.get("redshift") or ():
        if redshift is None and isinstance(one, dict) and one.get("tag") == "LENS":
            redshift = one.get("value")
    grade = _SLED_GRADES.get(flag, "probable")
    return entry.get("name", ""), entry.get("ra"), entry.get("dec"), kind, grade, redshift, "SLED"


def _upper(word: Any) -> str:
    return str(word).strip().upper()


def _tidy(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the rows that have a position, with known types and grades."""
    for name in ("ra", "dec", "z"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    for name, known, default in (("type", tuple(RADII), "cluster"), ("grade", GRADES, "confident")):
        words = table[name].fillna("").astype(str).str.strip().str.lower().replace("", default)
        strange = sorted(set(words) - set(known))
        if strange:
            raise GridlensError(
                f"The column {name} of the catalogue of known lenses {source} must hold {', '.join(known)}. Got "
                f"{strange[0]!r} instead. Rename the values, or leave the column out."
            )
        table[name] = words
    for name in ("name", "ref"):
        table[name] = table[name].fillna("").astype(str)
    on_sky = table["ra"].between(-360.0, 360.0) & table["dec"].between(-90.0, 90.0)
    kept = table[on_sky].reset_index(drop=True)
    if len(table) and not len(kept):
        raise GridlensError(f"The catalogue of known lenses {source} has no row with a position on the sky.")
    kept.attrs = {"left_out": int((~on_sky).sum())}
    return kept
