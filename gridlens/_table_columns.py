"""Columns of a table of scores: their order, units, UCDs and descriptions, for files, terminals and docs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["CONTEXT_PREFIX", "SCORE_COLUMNS", "Column", "describe_columns", "described_attrs", "in_order"]


class Column(NamedTuple):
    """Meaning of a column."""

    description: str
    """ASCII, because FITS headers require it"""
    unit: str = ""
    """in the spelling of astropy; "" for a number without one"""
    ucd: str = ""
    """from the controlled vocabulary of the IVOA; "" if it has no word"""
    form: str = "{}"
    """format of a value on a terminal"""


_PROBABILITY = "stat.probability"
_AT_PREVALENCE = "at the declared prevalence"

SCORE_COLUMNS: Mapping[str, Column] = {
    "id": Column("Name of the cutout", ucd="meta.id;meta.main"),
    "ra": Column("Right ascension of the cluster, ICRS", "deg", "pos.eq.ra;meta.main", "{:.5f}"),
    "dec": Column("Declination of the cluster, ICRS", "deg", "pos.eq.dec;meta.main", "{:+.5f}"),
    "path": Column("File or files of the cutout, joined by ;", ucd="meta.ref"),
    "rank": Column("Rank by the score, 1 is best; 0 if rejected", ucd="stat.rank", form="{:d}"),
    "score": Column(
        "Probability of a lens if half of the cutouts held one; it sets the rank", "", _PROBABILITY, "{:.4f}"
    ),
    "p_any": Column(
        f"Probability of a lens of either kind {_AT_PREVALENCE}; it sets the rank", "", _PROBABILITY, "{:.2g}"
    ),
    "score_gc": Column("Score of lensed galaxies, at even prevalence", "", _PROBABILITY, "{:.4f}"),
    "score_cc": Column("Score of lensed clusters, at even prevalence", "", _PROBABILITY, "{:.4f}"),
    "p_gc": Column(f"Probability of lensed galaxies {_AT_PREVALENCE}", "", _PROBABILITY, "{:.2g}"),
    "p_cc": Column(f"Probability of a lensed cluster {_AT_PREVALENCE}", "", _PROBABILITY, "{:.2g}"),
    "p_lens": Column(f"Calibrated probability of a lens {_AT_PREVALENCE}", "", _PROBABILITY, "{:.2g}"),
    "p_low": Column("Lower end of the 95 % interval of p_lens", "", f"{_PROBABILITY};stat.min", "{:.2g}"),
    "p_high": Column("Upper end of the 95 % interval of p_lens", "", f"{_PROBABILITY};stat.max", "{:.2g}"),
    "prevalence": Column("Fraction of lenses that the probabilities assume", "", _PROBABILITY, "{:.2g}"),
    "status": Column("ok or rejected", ucd="meta.code.status"),
    "message": Column("Reason of a rejection, or a warning", ucd="meta.note"),
    "flags": Column("Bits of gridlens.cutouts.CutoutFlag", ucd="meta.code.qual"),
    "valid_fraction": Column("Fraction of the pixels that are finite in all bands", "", "", "{:.2f}"),
    "arc_x": Column(
        "Column of the centroid of the arc candidate, 0-based", "pix", "pos.cartesian.x;instr.det", "{:.1f}"
    ),
    "arc_y": Column("Row of the centroid of the arc candidate, 0-based", "pix", "pos.cartesian.y;instr.det", "{:.1f}"),
    "arc_ra": Column("Right ascension of the arc candidate, ICRS", "deg", "pos.eq.ra", "{:.5f}"),
    "arc_dec": Column("Declination of the arc candidate, ICRS", "deg", "pos.eq.dec", "{:+.5f}"),
    "arc_patch": Column("Patch of the 3 x 3 grid with the arc candidate; -1 if there is none", form="{:d}"),
    "arc_distance": Column("Distance of the arc candidate to the BCG", "arcsec", "pos.angDistance", "{:.1f}"),
    "arcness": Column("Length of the arc candidate over its width", "", "phys.size.axisRatio", "{:.1f}"),
    "arc_color_gr": Column("g-r of the arc candidate minus that of the BCG", "mag", "phot.color", "{:+.2f}"),
    "arc_snr": Column("Signal-to-noise ratio of the arc candidate", "", "stat.snr", "{:.0f}"),
    "members_in_favour": Column("Members that give a lens better than even odds at even prevalence", form="{:d}"),
    "disagreement": Column("Standard deviation of the log-odds of the members", "", "stat.stdev", "{:.2f}"),
    "branch": Column("Members that scored: full (all) or classic (without the slow ones)", ucd="meta.code.class"),
    "novelty": Column("p-value for similarity to the training data of the model", "", _PROBABILITY, "{:.3f}"),
    "recalibrated_on": Column(
        "Number of unlabelled cutouts that the probabilities were recalibrated on", ucd="meta.number", form="{:d}"
    ),
}
"""columns by name, in the order of the table; those of the members and of the catalogue follow"""

CONTEXT_PREFIX = "context_"
"""prefix of columns that are shown beside a candidate, but never used by a model"""
_RADIUS = "percentile of the Einstein radius that the mass of the cluster allows, sources at z = 2"
_CONTEXT_COLUMNS: Mapping[str, Column] = {
    "context_known_lens": Column("Name of the known lens within its match radius", ucd="meta.id"),
    "context_known_type": Column("Type of the known lens: galaxy, group or cluster", ucd="src.class"),
    "context_known_grade": Column("Grade of the known lens: confident, probable or unverified", ucd="meta.code.qual"),
    "context_known_sep": Column("Distance to the known lens", "arcsec", "pos.angDistance", "{:.1f}"),
    "context_known_z": Column("Redshift of the known lens", "", "src.redshift", "{:.3f}"),
    "context_known_ref": Column("References of the known lens", ucd="meta.bib"),
    "context_n_known": Column("Number of known lenses within their match radii", ucd="meta.number", form="{:d}"),
    "context_known_chance": Column("Probability of a chance match with a known lens", "", _PROBABILITY, "{:.2g}"),
    "context_contaminant": Column("Name of a nearby object that was taken for a lens and is not one", ucd="meta.id"),
    "context_theta_e_p16": Column(f"16th {_RADIUS}", "arcsec", "phys.angSize;stat.min", "{:.1f}"),
    "context_theta_e_p50": Column(f"50th {_RADIUS}", "arcsec", "phys.angSize;stat.median", "{:.1f}"),
    "context_theta_e_p84": Column(f"84th {_RADIUS}", "arcsec", "phys.angSize;stat.max", "{:.1f}"),
    "context_p_theta_e_gt_10": Column("Probability of an Einstein radius above 10 arcsec", "", _PROBABILITY, "{:.2g}"),
    "context_proxy": Column("Quantity that the mass of the cluster is estimated from", ucd="meta.note"),
    "context_note": Column("Missing or contradictory context", ucd="meta.note"),
}


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of the columns of a table in order; names that are not in `SCORE_COLUMNS` come last."""
    given = list(names)
    return [name for name in SCORE_COLUMNS if name in given] + [name for name in given if name not in SCORE_COLUMNS]


def described_attrs(
    members: Sequence[str], spreads: Sequence[str] = (), kept: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the attribute of a table that describes the columns beyond `SCORE_COLUMNS`, as JSON values.

    Parameters
    ----------
    members : sequence of str
        Names of the members.
    spreads : sequence of str, default=()
        Names of the members that estimate their uncertainty.
    kept : mapping of str to str, default=None
        Units of the columns from the catalogue, by name; "" where unknown.
    """
    columns = {name: {"description": f"Probability of a lens by the member {name}, uncalibrated"} for name in members}
    columns |= {
        f"{name}_spread": {"description": f"Standard deviation of the log-odds of the member {name}"}
        for name in spreads
    }
    columns |= {name: {"description": "Column of the catalogue", "unit": unit} for name, unit in (kept or {}).items()}
    return {"columns": columns}


def describe_columns(names: Iterable[str], attrs: Mapping[Any, Any]) -> dict[str, Column]:
    """Return the descriptions of columns by name, from `SCORE_COLUMNS` and from the attributes of their table."""
    known = {name: Column(**entry) for name, entry in attrs.get("columns", {}).items()}
    known |= dict(SCORE_COLUMNS) | dict(_CONTEXT_COLUMNS)
    return {name: known[name] for name in names if name in known}
