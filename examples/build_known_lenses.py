"""Build the list of known lenses that is bundled with gridlens from a release of lenscat.

    python examples/build_known_lenses.py lenscat-1.1.3-py3-none-any.whl gridlens/context/data

The first argument is a wheel of lenscat or its catalog.csv (state --version for the latter). The script checks every
position against the coordinates in the names, repairs or drops rows, reads the redshifts, merges duplicates, and writes
known_lenses.parquet with known_lenses.json, which holds the source, its licence and the counts.
"""

import argparse
import hashlib
import io
import itertools
import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import FK4, SkyCoord
from astropy.time import Time
from scipy.spatial import cKDTree

SOURCE = "https://github.com/lenscat/lenscat"
LICENCE = "MIT, see LICENSE.lenscat"
# Rows with only these references are not lenses: they are catalogues of clusters, of X-ray sources and of pairs of
# galaxies (Lopes 2004, Gonzalez 2001, Gioia 1990, Gladders 2005, Boehringer 2004 and 2000, Ebeling 1998 and
# 2000, Olsen 2006, Menanteau 2010, Popesso 2004, Holwerda 2015).
NOT_LENSES = (
    *("10.1086/423038", "astro-ph/0106055", "10.1086/191426", "0411075", "astro-ph/0405546", "astro-ph/0003219"),
    *("astro-ph/9812394", "astro-ph/0003191", "astro-ph/0609815", "1002.2226", "astro-ph/0403354", "1503.04813"),
)
TYPES = ("cluster", "group", "galaxy")
GRADES = ("confident", "probable", "unverified")
# Largest separation of rows of the same lens, arcsec: two clusters or groups, a cluster and a galaxy, two galaxies.
MERGED_CLUSTERS, MERGED_MIXED, MERGED_GALAXIES = 30.0, 10.0, 3.0
# Largest distance of a BCG from the cluster centre used in the name, arcsec.
CENTRE_SLACK = 120.0
# Largest unit of the last digit of right ascension in names that are precise enough to repair a position, degrees.
FINE = 0.1 / 60 * 15
# Smallest number of consecutive rows whose names form an automatically filled series.
FILLED = 5
CONTRADICTS = "dropped: position contradicts the name"
# Redshifts of a row that differ by more than this fraction of (1 + z) contradict each other.
SAME_REDSHIFT = 0.05

_PLACE = r"(?<![\d.+-])"
_DECIMAL = re.compile(r"DESI-(\d{1,3}\.\d+)([+-])(\d{1,2}\.\d+)")
_SEXAGESIMAL = re.compile(
    _PLACE + r"(\d\d)(\d\d)(?:(\d\d)(\.\d+)?|(\.\d))?([+-])(\d\d)(?:(\d\d)(?:(\d\d)(\.\d+)?|(\.\d))?)?(?![\d-])"
)


class Place(NamedTuple):
    """Coordinates in a name."""

    ra: float
    """degrees"""
    dec: float
    """degrees"""
    ra_step: float
    """unit of the last digit, degrees"""
    dec_step: float
    """unit of the last digit, degrees"""


def places_in(name: str) -> list[Place]:
    """Return the coordinates contained in a name."""
    found = [
        Place(float(ra), float(sign + dec), 1e-4, 1e-4)
        for ra, sign, dec in _DECIMAL.findall(name)
        if float(ra) < 360.0 and float(dec) <= 90.0
    ]
    for match in _SEXAGESIMAL.finditer(name):
        h, m, s, s_part, m_part, sign, d, dm, ds, ds_part, dm_part = match.groups()
        ra, ra_step = _angle(h, m, s, s_part, m_part)
        dec, dec_step = _angle(d, dm, ds, ds_part, dm_part)
        if not s and not m_part and not re.search("[A-Za-z]", name[: match.start()]):
            continue  # minutes and seconds within the COSMOS field, or the number of a plate
        if ra < 24.0 and dec <= 90.0 and int(m) < 60 and int(dm or 0) < 60:
            found.append(Place(15.0 * ra, -dec if sign == "-" else dec, 15.0 * ra_step, dec_step))
    return found


def _angle(
    whole: str, minutes: str | None, seconds: str | None, part: str | None, minutes_part: str | None
) -> tuple[float, float]:
    """Return an angle in hours or degrees, and the unit of its last digit."""
    value = (
        int(whole) + float((minutes or "0") + (minutes_part or "")) / 60 + float((seconds or "0") + (part or "")) / 3600
    )
    if seconds:
        return value, (10.0 ** -(len(part) - 1) if part else 1.0) / 3600
    if minutes:
        return value, (0.1 if minutes_part else 1.0) / 60
    return value, 1.0


def agrees(place: Place, ra: float, dec: float) -> bool:
    """Return whether a position agrees with the rounded or truncated coordinates of a name, within a tolerance."""
    slack = CENTRE_SLACK / 3600
    far = abs((place.ra - ra + 180.0) % 360.0 - 180.0)
    # Names with declinations between -1 and 0 degrees often lack the sign.
    off = abs(abs(place.dec) - abs(dec)) if abs(place.dec) < 1.0 else abs(place.dec - dec)
    return far <= place.ra_step + slack / max(np.cos(np.radians(dec)), 1e-3) and off <= place.dec_step + slack


def of_1950(place: Place) -> Place:
    """Return the ICRS coordinates of a place given in B1950, as in older names."""
    old = SkyCoord(place.ra * u.deg, place.dec * u.deg, frame=FK4(equinox=Time("B1950")))
    return Place(float(old.icrs.ra.deg), float(old.icrs.dec.deg), place.ra_step, place.dec_step)


def checked_position(name: str, ra: float, dec: float) -> tuple[float, float, str]:
    """Return a position and the outcome of its check against the name: a key of the counts."""
    places = places_in(name)
    if not places:
        return ra, dec, "position without coordinates in the name"
    if any(agrees(place, ra, dec) for place in places):
        return ra, dec, "position confirmed by the name"
    if "J" not in name and any(agrees(of_1950(place), ra, dec) for place in places):
        return ra, dec, "position confirmed by the name"
    for place in places:
        if place.ra_step > FINE:
            continue
        sign = -1.0 if place.dec < 0 else 1.0
        whole_ra = ra + 15.0 * round((place.ra - ra) / 15.0) if ra < 15.0 else ra
        whole_dec = sign * (abs(dec) + round(abs(place.dec) - abs(dec))) if abs(dec) < 1.0 else dec
        turned_dec = 2.0 * np.trunc(place.dec) - dec if place.dec < 0.0 else dec
        for new_ra, new_dec, lost in (
            (whole_ra, dec, "lost hours of right ascension"),
            (ra, whole_dec, "lost degrees of declination"),
            (whole_ra, whole_dec, "lost hours and degrees"),
            (ra, turned_dec, "minutes of declination with the wrong sign"),
        ):
            if agrees(place, new_ra, new_dec):
                return new_ra, float(new_dec), f"position repaired: {lost}"
    return ra, dec, CONTRADICTS


def filled_down(names: list[str]) -> set[int]:
    """Return the rows whose names were filled in by a spreadsheet, such as 000008+022659, 000008+022660, ..."""
    split = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    follows = [
        bool(a and b and a.group(1) and a.group(1) == b.group(1) and int(b.group(2)) == int(a.group(2)) + 1)
        for a, b in itertools.pairwise(split)
    ]
    found: set[int] = set()
    start = 0
    for k in range(len(follows) + 1):
        if k == len(follows) or not follows[k]:
            # The first name of a series is correct.
            found |= set(range(start + 1, k + 1)) if k - start >= FILLED else set()
            start = k + 1
    return found


def redshift_of(text: str) -> tuple[float, str]:
    """Return one redshift of a cell such as "0.6 | 0.643 | nan" and a key of the counts, "" for a missing one."""
    numbers = [float(word) for word in re.findall(r"(?<![\d.])\d+\.?\d*(?![\d.])", text)]
    numbers = sorted(z for z in numbers if 0.0 < z < 10.0)
    if not numbers:
        return float("nan"), "" if "|" not in text and text in ("-", "not measured", "L") else "redshift not a number"
    if numbers[-1] - numbers[0] > SAME_REDSHIFT * (1.0 + numbers[0]):
        return float("nan"), "redshift left out: values contradict each other"
    return numbers[(len(numbers) - 1) // 2], "redshift read"


def short_name(name: str, ra: float, dec: float) -> str:
    """Return the first valid name, or a name made from the position."""
    for part in name.split("|"):
        part = " ".join(re.sub(r"^\[([^\]]*)\]?$", r"\1", part.strip()).split())
        if len(part) > 2 and not re.fullmatch(r"[\d.]+[a-z]?", part):
            return part[:40]
    seconds, arcsec = int(ra * 240.0), int(abs(dec) * 3600.0)
    hours = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
    return f"J{hours}{'-' if dec < 0 else '+'}{arcsec // 3600:02d}{arcsec // 60 % 60:02d}{arcsec % 60:02d}"


def short_reference(text: str) -> str:
    """Return up to two different references, as arXiv number or DOI if they have one."""
    found = []
    for part in re.split(r" \| |\s+(?=https?:)", text.strip()):
        arxiv = re.search(r"arxiv\.org/(?:abs|pdf|ftp/arxiv/papers/\d+)/([\w.-]+/?\d*?)(?:\.pdf)?$|arXiv:(\S+)", part)
        doi = re.search(r"doi:(\S+)", part)
        if arxiv:
            word = f"arXiv:{arxiv.group(1) or arxiv.group(2)}"
        else:
            word = f"doi:{doi.group(1)}" if doi else part.split(" - ")[-1]
        if word and word not in found:
            found.append(word[:80])
    return "; ".join(found[:2])


def is_lens_reference(text: str) -> bool:
    """Return whether a row has a reference other than catalogues of clusters and galaxies."""
    return not all(any(mark in part for mark in NOT_LENSES) for part in text.split(" | "))


def clean(table: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """Return the rows of lenscat with checked positions, a single redshift and name, and counts of the outcomes."""
    counts: Counter[str] = Counter({"rows of lenscat": len(table)})
    known = [(k, place) for k, name in enumerate(table["name"]) for place in places_in(name) if place.ra_step <= FINE]
    wrong_names = {k for k in filled_down(list(table["name"])) if places_in(table["name"].iloc[k])}
    rows = []
    for k, row in enumerate(table.itertuples(index=False)):
        name, ra, dec, zlens, kind, grade, ref = row[:7]
        ra, dec, outcome = checked_position(name, float(ra), float(dec))
        if outcome == CONTRADICTS:
            if k in wrong_names:
                name, outcome = "", "name replaced: counted up by a spreadsheet"
            elif any(other != k and agrees(place, ra, dec) for other, place in known):
                name, outcome = "", "name replaced: the position is that of another name"
        counts[outcome] += 1
        z, read = redshift_of(zlens)
        if read:
            counts[read] += 1
        if outcome == CONTRADICTS:
            continue
        if grade != "confident" and not is_lens_reference(ref):
            grade = "unverified"
            counts["graded unverified: only in catalogues of clusters or galaxies"] += 1
        rows.append((short_name(name, ra, dec), ra, dec, kind, grade, z, short_reference(ref)))
    return pd.DataFrame(rows, columns=["name", "ra", "dec", "type", "grade", "z", "ref"]), counts


def merged(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Merge the rows of the same lens into the best one, and return the table and the number of merged rows.

    The best row has the best grade, then the largest type, then a redshift.
    """
    order = np.lexsort([rows.index, rows["z"].isna(), rows["type"].map(TYPES.index), rows["grade"].map(GRADES.index)])
    rows = rows.iloc[order].reset_index(drop=True)
    ra, dec = np.radians(rows["ra"].to_numpy()), np.radians(rows["dec"].to_numpy())
    vectors = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    pairs = cKDTree(vectors).query_pairs(np.radians(MERGED_CLUSTERS / 3600), output_type="ndarray")
    pairs = np.sort(pairs, axis=1)
    gap = np.degrees(np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)) * 3600
    galaxy = (rows["type"] == "galaxy").to_numpy()[pairs].sum(axis=1)
    near = gap <= np.array([MERGED_CLUSTERS, MERGED_MIXED, MERGED_GALAXIES])[galaxy]
    head = np.full(len(rows), -1)
    z, kind = rows["z"].to_numpy().copy(), rows["type"].to_numpy(dtype=object).copy()
    # The first row of a pair is the better one; a row that was merged cannot absorb another.
    for first, second in pairs[near][np.lexsort(pairs[near].T[::-1])]:
        if head[first] < 0 and head[second] < 0:
            head[second] = first
            z[first] = z[second] if np.isnan(z[first]) else z[first]
            kind[first] = min(kind[first], kind[second], key=TYPES.index)
    kept = rows.assign(z=z, type=kind)[head < 0]
    return kept.sort_values(["ra", "dec"], ignore_index=True), int((head >= 0).sum())


def read_lenscat(path: Path) -> tuple[bytes, str]:
    """Return the bytes of lenscat's catalogue, from a wheel or the file itself, and the version of the wheel."""
    if path.suffix != ".whl":
        return path.read_bytes(), ""
    with zipfile.ZipFile(path) as wheel:
        return wheel.read("lenscat/data/catalog.csv"), path.name.split("-")[1]


def build(source: Path, folder: Path, version: str = "") -> dict[str, object]:
    """Write the list and its record to a folder, and return the record."""
    content, of_wheel = read_lenscat(source)
    rows, counts = clean(pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False))
    table, joined = merged(rows)
    counts["merged into another row"] = joined
    counts["rows written"] = len(table)
    table = table.assign(ra=table["ra"].round(5), dec=table["dec"].round(5), z=table["z"].round(5))
    path = folder / "known_lenses.parquet"
    table.to_parquet(path, index=False, compression="zstd")
    record: dict[str, object] = {
        "source": SOURCE,
        "version": version or of_wheel,
        "licence": LICENCE,
        "source_sha256": hashlib.sha256(content).hexdigest(),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": len(table),
        "counts": dict(sorted(counts.items())),
    }
    (folder / "known_lenses.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def main() -> None:
    """Build the list from command-line arguments, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="wheel of lenscat, or its catalog.csv")
    parser.add_argument("folder", type=Path, help="folder for known_lenses.parquet and known_lenses.json")
    parser.add_argument("--version", default="", help="version of lenscat, if the source is not a wheel")
    arguments = parser.parse_args()
    print(json.dumps(build(arguments.source, arguments.folder, arguments.version), indent=1))


if __name__ == "__main__":
    main()
