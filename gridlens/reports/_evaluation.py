"""The report of an evaluation: one self-contained page, and its numbers as JSON."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from gridlens._files import atomic_folder
from gridlens.calibration import shift_prior
from gridlens.calibration._reliability import Reliability
from gridlens.cutouts import CutoutSet
from gridlens.engine import ScoreEvaluation
from gridlens.evaluation import Estimate, Evaluation, required_fpr
from gridlens.evaluation._discovery import DiscoveryCurve
from gridlens.reports._evaluation_plots import (
    plot_discovery,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
    plot_strata,
)
from gridlens.reports._figures import svg_of
from gridlens.reports._pages import check_libraries, render
from gridlens.reports._worst import shown_errors

__all__ = ["write_evaluation"]

_DEFINITIONS = {
    "TPR at FPR": "fraction of the lenses found at that false positive rate",
    "TPR0": "fraction of the lenses that score above every non-lens",
    "TPR10": "fraction of the lenses found with fewer than ten false positives",
    "TPR at precision": "largest fraction of the lenses found in a list of that precision, at the prevalence",
    "average precision": "precision averaged over the lenses, best first: sum of (R_k - R_(k-1)) P_k",
    "precision at": "fraction of lenses among the first k",
    "recall at": "fraction of the lenses that are among the first k",
    "AUROC": "probability that a lens scores above a non-lens; dominated by false positive rates too high for a survey",
    "Brier score": "mean of (p - y)^2",
    "log loss": "mean of -log of the probability given to the true label",
    "calibration error": "mean of |observed - predicted| over bins of equal size",
}
_SHOWN_STRATUM = "TPR at FPR 1e-2"
_PLACES = (100, 500, 1000, 5000, 10_000)
_MODEL = "model"
_NAMED = 3


def write_evaluation(
    found: ScoreEvaluation | Evaluation,
    folder: str | os.PathLike[str],
    *,
    title: str = "Scores against the truth",
    costs: Mapping[str, float] | None = None,
    model: str | None = None,
    date: datetime.date | None = None,
    cutouts: CutoutSet | Iterable[CutoutSet] = (),
) -> None:
    """Write `index.html` and `metrics.json` into a new folder, atomically.

    The page needs no other files or scripts. The JSON file has the numbers of the page, unrounded, with the notes and a
    description of the evaluation. The page of a `ScoreEvaluation` also shows the model, the data and the date, and the
    lenses with the lowest and the non-lenses with the highest scores: at most 12 of each, and at most half of all.

    Parameters
    ----------
    found : ScoreEvaluation or Evaluation
        From `gridlens.evaluate_scores` or `gridlens.evaluation.evaluate`.
    folder : str or path
        New or empty folder.
    title : str, default="Scores against the truth"
    costs : mapping of str to float, default=None
        ``seconds_per_cutout`` adds the hours of review of the best k cutouts; ``hours_per_follow_up`` with
        ``cost_per_hour`` adds the follow-up of the lenses among them. Without these entries, no costs are shown.
    model : str, default=None
        Model that computed the scores, if the evaluation did not score anything itself.
    date : datetime.date, default=None
        Date of the evaluation, shown on the page and stored in the JSON file. None shows no date.
    cutouts : CutoutSet or iterable of CutoutSet, default=()
        Cutouts in which the shown lenses and non-lenses are found by path and id, or else by id only; rows that are not
        found have no picture.

    Raises
    ------
    GridlensError
        The folder is not empty or cannot be written, or matplotlib or jinja2 is missing; both are in the extra
        ``explain``.

    Examples
    --------
    >>> from gridlens import evaluate_scores
    >>> from gridlens.reports import write_evaluation
    >>> write_evaluation(evaluate_scores("scores.csv", "truth.csv"), "report/")  # doctest: +SKIP
    """
    check_libraries()
    evaluation = found.evaluation if isinstance(found, ScoreEvaluation) else found
    notes = list(found.notes) if isinstance(found, ScoreEvaluation) else []
    record = found.record if isinstance(found, ScoreEvaluation) else {}
    errors = shown_errors(found.rows, cutouts) if isinstance(found, ScoreEvaluation) else []
    page = render(
        "evaluation.html",
        title=title,
        notes=notes,
        facts=_facts(record, model, date),
        errors=errors,
        pictures=any(tile["thumbnail"] for error in errors for tile in error["tiles"]),
        **_page_values(evaluation, costs),
    )
    numbers = {**record, **({} if date is None else {"date": date.isoformat()}), "notes": notes, **evaluation.to_json()}
    with atomic_folder(folder) as temporary:
        (temporary / "index.html").write_text(page, encoding="utf-8")
        (temporary / "metrics.json").write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _facts(record: Mapping[str, Any], model: str | None, date: datetime.date | None) -> list[tuple[str, str]]:
    """Return the model, the data and the date as pairs of name and value; empty without a record."""
    facts = []
    if record:
        facts += [
            ("Model", str(model or record["model"] or "unknown")),
            ("Scores", _data_words(record["scores"])),
            ("Labels", _data_words(record["truth"])),
        ]
        if record["sample_weight"] is not None:
            facts.append(("Weights", f"column {record['sample_weight']} of the labels"))
        if record["against"] is not None:
            facts.append(("Compared with", _data_words(record["against"])))
        facts.append(("Version", f"gridlens {record['gridlens']}"))
    return facts + ([] if date is None else [("Date", date.isoformat())])


def _data_words(data: Any) -> str:
    """Return a description of the paths of a table or of a source."""
    if data is None:
        return "a table in memory"
    paths = [data] if isinstance(data, str) else [str(one["path"]) for one in data]
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _page_values(found: Evaluation, costs: Mapping[str, float] | None) -> dict[str, Any]:
    """Return the values for the template of an evaluation."""
    curve = found.curve
    half = curve.half.note or f"{curve.half.value:,.0f} [{curve.half.low:,.0f}, {curve.half.high:,.0f}]"
    return {
        "found": found,
        "prevalence": f"{found.prevalence:g}",
        "grouped": found.n_groups != found.n_rows,
        "metrics": [(name, estimate, _definition(name)) for name, estimate in found.metrics.items()],
        "required_fpr": _required_fpr(found),
        "roc": svg_of(plot_roc(found.y, found.scores, sample_weight=found.sample_weight), "roc"),
        "precision": svg_of(
            plot_precision_recall(found.y, found.scores, found.prevalence, sample_weight=found.sample_weight),
            "precision",
        ),
        "expected": f"{found.prevalence * curve.n_rows:,.4g}",
        "half": half,
        "yields": _yields(curve, found.prevalence, costs),
        "discovery": svg_of(plot_discovery(curve), "found"),
        "controls": [name for name in found.controls if name != _MODEL],
        "control_table": _by_score(found.controls),
        "matched_table": _by_score(found.matched_metrics),
        "balance": _balance(found),
        "strata": [_stratum(k, name, rows) for k, (name, rows) in enumerate(found.strata.items())],
        "calibration": None if found.bins is None else _calibration(found, found.bins),
        "comparisons": [(name, one.a, one.b, one.difference) for name, one in found.comparisons.items()],
    }


def _definition(name: str) -> str:
    return next((text for start, text in _DEFINITIONS.items() if name.startswith(start)), "")


def _required_fpr(found: Evaluation) -> str:
    """Return the FPR at which half of a list are lenses, or "" if the TPR is unknown or 0."""
    tpr = found.metrics["TPR at FPR 1e-2"].value
    return f"{required_fpr(0.5, tpr, found.prevalence):.2g}" if tpr > 0.0 else ""


def _yields(curve: DiscoveryCurve, prevalence: float, costs: Mapping[str, float] | None) -> dict[str, Any]:
    header = ["reviewed", "lenses found", "in random order"]
    if costs is not None:
        header.append("hours of review")
        if "hours_per_follow_up" in costs:
            header += ["hours of follow-up", "cost of follow-up"]
    rows = []
    for k in (k for k in _PLACES if k <= curve.n_rows):
        row: list[Any] = [k, curve.at(k), prevalence * k]
        if costs is not None:
            cost = curve.cost(k, **{"hours_per_follow_up": 0.0, "cost_per_hour": 0.0, **costs})
            row += [cost.review_hours, cost.follow_up_hours.value, cost.follow_up_cost.value]
        rows.append(row[: len(header)])
    return {"header": header, "rows": rows}


def _by_score(metrics: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
    """Return a table with a row for the model and each control."""
    names = list(metrics.get(_MODEL, {}))
    return {"header": ("", *names), "rows": [(name, *found.values()) for name, found in metrics.items()]}


def _balance(found: Evaluation) -> dict[str, Any] | None:
    if found.matched is None:
        return None
    balance = found.matched.balance
    return {
        "names": [str(name) for name in balance.index],
        "rows": [(str(name), float(row["before"]), float(row["after"])) for name, row in balance.iterrows()],
    }


def _stratum(k: int, name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Return the table and the figure for the strata of one column."""
    metrics = list(dict.fromkeys(table["metric"].dropna()))
    rows = []
    for stratum, part in table.groupby("stratum", sort=False):
        first = part.iloc[0]
        # A note that applies to the whole stratum is written once, next to its name.
        merged = first["note"].split("; ")[0] if first["note"].startswith("merged: ") else ""
        empty = part["value"].isna().all() and part["note"].nunique() == 1
        label = f"{stratum}; {merged or first['note']}" if merged or empty else stratum
        cells = {row["metric"]: "" if empty else _estimate(row, merged) for _, row in part.iterrows()}
        counts = (int(first["n_positive"]), int(first["n_negative"]))
        rows.append((label, *counts, *(cells.get(metric, "") for metric in metrics)))
    shown = table.loc[table["metric"] == _SHOWN_STRATUM, "value"].notna().any()
    return {
        "name": name,
        "negatives": "all non-lenses" if (table["against"] == "all").all() else "the non-lenses of the same stratum",
        "header": ("stratum", "lenses", "non-lenses", *metrics),
        "rows": rows,
        "svg": svg_of(plot_strata(table, _SHOWN_STRATUM), f"strata{k}") if shown else "",
        "caption": f"{_SHOWN_STRATUM} by {name}",
    }


def _estimate(row: pd.Series[Any], merged: str) -> Estimate:
    note = str(row["note"]).removeprefix(merged).removeprefix("; ")
    return Estimate(float(row["value"]), float(row["low"]), float(row["high"]), note)


def _calibration(found: Evaluation, bins: Reliability) -> dict[str, Any]:
    own = found.fraction
    factor = own / (1.0 - own) / (found.prevalence / (1.0 - found.prevalence))
    return {
        "own": f"{own:.3g}",
        "factor": f"{factor:.3g}",
        "half": f"{float(shift_prior(0.5, own, found.prevalence)):.2g}",
        "rows": [
            (float(p), Estimate(float(seen), float(low), float(high)), int(n))
            for p, seen, low, high, n in zip(bins.predicted, bins.observed, bins.low, bins.high, bins.rows, strict=True)
        ],
        "svg": svg_of(plot_reliability(bins), "reliability"),
    }
