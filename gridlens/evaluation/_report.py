"""A report of an `Evaluation`: one page that stands alone, and the numbers of record beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from gridlens._files import atomic_folder
from gridlens.calibration import shift_prior
from gridlens.evaluation._evaluate import Evaluation
from gridlens.evaluation._intervals import Estimate
from gridlens.evaluation._page import figure_svg, page, table
from gridlens.evaluation._plots import (
    plot_discovery,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
    plot_strata,
)
from gridlens.evaluation._precision import required_fpr

__all__ = ["write_report"]

_MEANING = {
    "TPR at FPR": "share of the positives found where that share of the negatives is let through",
    "TPR0": "share of the positives that score above every negative",
    "TPR10": "share of the positives found with fewer than ten false positives",
    "TPR at precision": "largest share of the positives found in a list of that precision, at the prevalence",
    "average precision": "precision averaged over the positives, best first: sum of (R_k - R_(k-1)) P_k",
    "precision at": "share of positives among the first k",
    "recall at": "share of the positives among the first k",
    "AUROC": "chance that a positive scores above a negative; mostly made of false positive rates nobody can afford",
    "Brier score": "mean of (p - y)^2",
    "log loss": "mean of -log of the probability given to what is true",
    "calibration error": "mean of |observed - predicted| over bins of equal mass",
}
_SHOWN_STRATUM = "TPR at FPR 1e-2"


def write_report(
    found: Evaluation,
    folder: str | os.PathLike[str],
    *,
    title: str,
    positives: str = "positives",
    rows: str = "rows",
    notes: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
    costs: Mapping[str, float] | None = None,
) -> None:
    """Write `index.html` and `metrics.json` into a new folder, whole or not at all.

    Parameters
    ----------
    found : Evaluation
    folder : str or path
        New, or empty.
    title : str
    positives, rows : str
        What they are called, in the plural.
    notes : sequence of str
        Sentences below the title: what was left out, what is missing.
    record : mapping, default=None
        More for `metrics.json`: what was evaluated, versions.
    costs : mapping, default=None
        ``seconds_per_cutout``, and ``hours_per_follow_up`` with ``cost_per_hour``: adds the cost of lists. Nothing is
        assumed without them.

    Raises
    ------
    GridlensError
        The folder is not empty or cannot be written.
    ImportError
        matplotlib is missing; the extra ``explain`` has it.
    """
    body = page(title, _body(found, title, positives, rows, notes, costs))
    numbers = {**dict(record or {}), "notes": list(notes), **found.to_json()}
    with atomic_folder(folder) as temporary:
        (temporary / "index.html").write_text(body, encoding="utf-8")
        (temporary / "metrics.json").write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _body(
    found: Evaluation,
    title: str,
    positives: str,
    rows: str,
    notes: Sequence[str],
    costs: Mapping[str, float] | None,
) -> list[str]:
    share = f"{found.prevalence:g}"
    groups = "" if found.n_groups == found.n_rows else f" in {found.n_groups:,} groups"
    return [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{found.n_positive:,} {escape(positives)} among {found.n_rows:,} {escape(rows)}{groups}. '
        f"What is expected of a survey assumes a prevalence of <b>{share}</b>. Brackets are 95 % intervals, of "
        f"{found.n_boot:,} bootstrap draws{' of whole groups' if groups else ''} or Wilson's.</p>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        *_measures(found, positives),
        *_discovery(found, positives, rows, costs),
        *_controls(found, positives),
        *_strata(found, positives),
        *_calibration(found, positives),
        *_comparison(found, positives),
    ]


def _meaning(name: str) -> str:
    return next((text for start, text in _MEANING.items() if name.startswith(start)), "")


def _measures(found: Evaluation, positives: str) -> list[str]:
    lines = [(name, estimate, _meaning(name)) for name, estimate in found.metrics.items()]
    tpr = found.metrics["TPR at FPR 1e-2"]
    wanted = ""
    if tpr.value == tpr.value and tpr.value > 0.0:
        fpr = required_fpr(0.5, tpr.value, found.prevalence)
        wanted = (
            f"<p>For every second row of a list to be right at a prevalence of {found.prevalence:g}, with the TPR "
            f"found at an FPR of 0.01, the FPR would have to be {fpr:.2g}.</p>"
        )
    drawn = plot_roc(found.y, found.scores)
    drawn_pr = plot_precision_recall(found.y, found.scores, found.prevalence)
    return [
        "<h2>How well it finds them</h2>",
        table(("measure", "value", "what it is"), lines, text=(2,)),
        wanted,
        figure_svg(
            drawn, f"Share of the {positives} found against the false positive rate, on a logarithmic axis", "roc"
        ),
        figure_svg(drawn_pr, f"Precision against recall at a prevalence of {found.prevalence:g}", "precision"),
    ]


def _discovery(found: Evaluation, positives: str, rows: str, costs: Mapping[str, float] | None) -> list[str]:
    curve = found.curve
    places = [k for k in (100, 500, 1000, 5000, 10_000) if k <= curve.n_rows]
    header = ["looked at", f"{positives} found", "in random order"]
    lines: list[list[Any]] = [[k, curve.at(k), found.prevalence * k] for k in places]
    if costs is not None:
        header += ["hours of review"]
        for line, k in zip(lines, places, strict=True):
            line.append(k * costs["seconds_per_cutout"] / 3600.0)
        if "hours_per_follow_up" in costs:
            header += ["hours of follow-up", "cost of follow-up"]
            for line, k in zip(lines, places, strict=True):
                hours = curve.at(k).value * costs["hours_per_follow_up"]
                line += [hours, hours * costs["cost_per_hour"]]
    half = curve.half
    said = half.note or f"{half.value:,.0f} [{half.low:,.0f}, {half.high:,.0f}]"
    figure = plot_discovery(curve)
    return [
        "<h2>What a review finds</h2>",
        f"<p>Of {curve.n_rows:,} {escape(rows)} at a prevalence of {found.prevalence:g}, that is "
        f"{found.prevalence * curve.n_rows:,.4g} {escape(positives)}, looked at from the top. "
        f"Half of them are found in the first: {escape(said)}.</p>",
        table(header, lines),
        figure_svg(
            figure, f"Expected {positives} found against {rows} looked at, at prevalence {found.prevalence:g}", "found"
        ),
    ]


def _controls(found: Evaluation, positives: str) -> list[str]:
    names = [name for name in found.controls if name != "model"]
    if not names:
        return [
            "<h2>Controls</h2>",
            "<p>None: there are no columns to make them of, or too few rows of a class.</p>",
        ]
    measures = list(found.controls["model"])
    parts = [
        "<h2>Controls</h2>",
        f"<p>What a simple classifier achieves, out of fold, that sees nothing but {escape('; or '.join(names))}. A "
        "finder should owe nothing to these.</p>",
        table(("", *measures), [(name, *found.controls[name].values()) for name in found.controls]),
    ]
    matched = found.matched
    if matched is not None:
        balance = matched.balance
        parts += [
            f"<p>On {len(matched.positive):,} pairs, one of the {escape(positives)} and a negative each that is like "
            f"it in {escape(' and '.join(map(str, balance.index)))} ({len(matched.unmatched):,} found no match):</p>",
            table(("", *measures), [(name, *found.matched_metrics[name].values()) for name in found.matched_metrics]),
            table(
                ("standardised mean difference", "before", "after"),
                [(str(name), float(row["before"]), float(row["after"])) for name, row in balance.iterrows()],
            ),
        ]
    return parts


def _strata(found: Evaluation, positives: str) -> list[str]:
    parts = []
    for k, (name, rows) in enumerate(found.strata.items()):
        measures = list(dict.fromkeys(rows["metric"].dropna()))
        lines = []
        for stratum, part in rows.groupby("stratum", sort=False):
            first = part.iloc[0]
            # What holds for the whole stratum is said once, beside its name.
            merged = first["note"].split("; ")[0] if first["note"].startswith("merged: ") else ""
            nothing = part["value"].isna().all() and part["note"].nunique() == 1
            said = f"{stratum}; {merged or first['note']}" if merged or nothing else stratum
            cells = {row["metric"]: "" if nothing else _estimate(row, merged) for _, row in part.iterrows()}
            lines.append(
                (said, int(first["n_positive"]), int(first["n_negative"]), *(cells.get(m, "") for m in measures))
            )
        held = "all negatives" if (rows["against"] == "all").all() else "the negatives of its own stratum"
        parts += [
            f"<h2>By {escape(name)}</h2>",
            f"<p>Each stratum against {held}.</p>",
            table(("stratum", positives, "negatives", *measures), lines),
        ]
        if _SHOWN_STRATUM in measures:
            figure = plot_strata(rows, _SHOWN_STRATUM)
            parts.append(figure_svg(figure, f"{_SHOWN_STRATUM} by {name}", f"strata{k}"))
    return parts


def _estimate(row: pd.Series[Any], said: str) -> Estimate:
    note = str(row["note"]).removeprefix(said).removeprefix("; ")
    return Estimate(float(row["value"]), float(row["low"]), float(row["high"]), note)


def _calibration(found: Evaluation, positives: str) -> list[str]:
    bins = found.bins
    if bins is None:
        return []
    lines = [
        (float(p), Estimate(float(seen), float(low), float(high)), int(n))
        for p, seen, low, high, n in zip(bins.predicted, bins.observed, bins.low, bins.high, bins.rows, strict=True)
    ]
    own = found.n_positive / found.n_rows
    at = shift_prior(0.5, own, found.prevalence)
    figure = plot_reliability(bins)
    return [
        "<h2>Do probabilities mean what they say</h2>",
        f"<p>At the prevalence of these rows, {own:.3g}. At {found.prevalence:g} the same rows are given the odds that "
        f"are {own / (1 - own) / (found.prevalence / (1 - found.prevalence)):.3g} times smaller: a probability of 0.5 "
        f"here is {float(at):.2g} there.</p>",
        table(("predicted, mean of a bin", f"share of {positives} observed", "rows"), lines),
        figure_svg(figure, "Predicted against observed, bins of equal mass", "reliability"),
    ]


def _comparison(found: Evaluation, positives: str) -> list[str]:
    if not found.comparisons:
        return []
    parts = [
        "<h2>Against the other scores</h2>",
        "<p>On the same rows; the interval of the difference is of paired draws.</p>",
        table(
            ("measure", "these", "the other", "other less these"),
            [(name, one.a, one.b, one.difference) for name, one in found.comparisons.items()],
        ),
    ]
    if found.disagreement is not None:
        parts.append(f"<p>{escape(positives.capitalize())} at an FPR of 0.01: {escape(str(found.disagreement))}</p>")
    return parts
