"""Sections of the card of a model of injected arcs: training choices, completeness, and controls."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, cross_val_predict

from gridlens.calibration import wilson
from gridlens.detector import LensDetector
from gridlens.evaluation import auroc
from gridlens.evaluation._controls import control_score
from gridlens.features import FEATURE_NAMES
from gridlens.features._contract import METADATA_NAMES
from gridlens.members import LightGBMMember
from gridlens.stacking._stack import member_log_odds
from gridlens.training._bundled import bundled_log_odds
from gridlens.training._injected_rows import InjectedRows
from gridlens.training._kept import KeptRows
from gridlens.training._markdown import markdown_table
from gridlens.training._tuned import Tuned

__all__ = ["Scored", "control_sections", "learned_section", "scored"]

_FPR = 0.01
_DRAWS = 300
_RADII = (0.0, 12.0, 18.0, 25.0, np.inf)
_SNRS = (0.0, 30.0, 100.0, 300.0, np.inf)
_FOLDS = 5
_TOLD = {
    "recoloured": "arcs in the colours of the BCG",
    "turned": "images rotated by 45 to 135 degrees",
    "straight": "a straight trail as bright as the arcs",
}
_NULL = "null"


class Scored(NamedTuple):
    """Rows of one part with the scores (log-odds) of this model and of the bundled model; NaN if missing."""

    truth: pd.DataFrame
    members: np.ndarray
    """of the members (n, n_members)"""
    score: np.ndarray
    bundled: np.ndarray

    def of(self, kind: str) -> Scored:
        """Return the rows of one kind that both models score."""
        chosen = (self.truth["kind"] == kind).to_numpy() & np.isfinite(self.score) & np.isfinite(self.bundled)
        return Scored(self.truth[chosen], self.members[chosen], self.score[chosen], self.bundled[chosen])


def scored(detector: LensDetector, rows: InjectedRows, kept: KeptRows) -> Scored:
    """Score the rows of one part."""
    measured = kept.store.measured()
    members = member_log_odds(detector.member_probabilities(measured))
    score = detector.stack_.combine(members)
    return Scored(rows.truth.iloc[kept.places], members, score, bundled_log_odds(measured.features))


def learned_section(tuned: Tuned) -> str:
    """Return a section on the choices made out of fold, with their metrics."""
    rows = [
        [choice.name, f"{choice.log_loss:.4f}", f"{choice.auroc:.3f}", f"{choice.tpr:.3f}"] for choice in tuned.choices
    ]
    table = markdown_table(["trained on", "log loss", "AUROC", "TPR at FPR 0.01"], rows)
    scenes = f"a weight of {tuned.scene_weight:g}" if tuned.scene_weight else "no weight"
    unlabelled = (
        'Treating cutouts without an arc as unlabelled gives a lower log loss; the member "nnpu" may be worth trying.'
        if tuned.unlabelled_is_better
        else "Treating cutouts without an arc as unlabelled instead of negative does not give a lower log loss."
    )
    return (
        "These choices were compared with trees on the features, evaluated out of fold on rows of the pool. The "
        f"weights with the lowest log loss were used:\n\n{table}\n\nSimulated scenes have {scenes}. The 1/16 of the "
        f"cutouts without an arc that score highest have a weight of {tuned.hard_weight:g}. {unlabelled}"
    )


def control_sections(detector: LensDetector, rows: InjectedRows, test: Scored) -> list[tuple[str, str]]:
    """Return the headings and texts on completeness and controls.

    Parameters
    ----------
    detector : LensDetector
        Fitted.
    rows : InjectedRows
    test : Scored
        Test rows.
    """
    controls = scored(detector, rows, rows.controls)
    thresholds = _thresholds(scored(detector, rows, rows.calibrate))
    known = scored(detector, rows, rows.known) if rows.known.ids else None
    return [
        ("Completeness and false alarms", _completeness(test, thresholds, known)),
        ("Controls", _controls(rows, test, controls, thresholds[0])),
    ]


def _thresholds(calibrate: Scored) -> tuple[float, float]:
    """Return the scores that 1 % of the cutouts without an arc exceed, for both models."""
    plain = calibrate.of("none")
    return float(np.quantile(plain.score, 1.0 - _FPR)), float(np.quantile(plain.bundled, 1.0 - _FPR))


def _completeness(test: Scored, thresholds: tuple[float, float], known: Scored | None) -> str:
    arcs, plain = test.of("arc"), test.of("none")
    found = arcs.score > thresholds[0], arcs.bundled > thresholds[1]
    group = arcs.truth["group"].to_numpy()
    rows = [["all arcs", *_beside(*found, group)]]
    for column, edges, said in (("theta_e", _RADII, "Einstein radius {} arcsec"), ("arc_snr", _SNRS, "arc S/N {}")):
        values = arcs.truth[column].to_numpy()
        for low, high in itertools.pairwise(edges):
            inside = (values >= low) & (values < high)
            if inside.any():
                span = f"over {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
                rows.append([said.format(span), *_beside(found[0][inside], found[1][inside], group[inside])])
    table = markdown_table(["lenses", "number", "found by this model", "by the bundled model", "difference"], rows)
    alarms = plain.score > thresholds[0], plain.bundled > thresholds[1]
    number, own, bundled, difference = _beside(*alarms, plain.truth["group"].to_numpy(), 1000.0)
    text = (
        "A cutout counts as found if its score exceeds that of 99 % of the calibration cutouts without an arc. On "
        f"clusters that were used neither by the members nor by the calibration:\n\n{table}\n\nOf 1,000 cutouts "
        f"without an arc, this model raises {own} false alarms and the bundled model {bundled}, a difference of "
        f"{difference} ({number} cutouts). Brackets are 95 % intervals; differences are paired."
    )
    if known is not None:
        usable = np.isfinite(known.score)
        above = int((known.score[usable] > thresholds[0]).sum())
        text += (
            f" Of {int(usable.sum())} known lenses of the pool, which were not used in the training, {above} are found."
        )
    return text


def _beside(own: np.ndarray, bundled: np.ndarray, group: np.ndarray, unit: float = 1.0) -> list[str]:
    """Return the number of rows, the fraction for each model, and the paired difference, with intervals."""
    n = len(own)
    digits = 2 if unit == 1.0 else 1

    def fraction(k: int) -> str:
        low, high = wilson(k, n)
        return f"{unit * k / n:.{digits}f} [{unit * float(low):.{digits}f}, {unit * float(high):.{digits}f}]"

    gain = own.astype(float) - bundled
    # Bootstrap over clusters.
    _, number = np.unique(group, return_inverse=True)
    total, count = np.bincount(number, gain), np.bincount(number)
    draws = np.random.default_rng(0).integers(len(count), size=(_DRAWS, len(count)))
    low, high = np.quantile(total[draws].sum(axis=1) / count[draws].sum(axis=1), [0.025, 0.975]) * unit
    difference = f"{unit * gain.mean():+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
    return [f"{n:,}", fraction(int(own.sum())), fraction(int(bundled.sum())), difference]


def _controls(rows: InjectedRows, test: Scored, controls: Scored, threshold: float) -> str:
    arcs, plain = test.of("arc"), test.of("none")
    real = pd.Series(arcs.score, index=arcs.truth["cutout"])
    told = [["arcs", f"{len(real):,}", _against(plain, arcs.score), f"{np.mean(arcs.score > threshold):.2f}", ""]]
    failed = []
    for kind, name in _TOLD.items():
        part = controls.of(kind)
        inside = part.truth["cutout"].isin(real.index).to_numpy()
        score, pair = part.score[inside], real[part.truth["cutout"][inside]].to_numpy()
        wins = (pair > score) + 0.5 * (pair == score)
        low, high = wilson(float(wins.sum()), len(wins))
        told.append(
            [
                name,
                f"{len(score):,}",
                _against(plain, score),
                f"{np.mean(score > threshold):.2f}",
                f"{wins.mean():.2f} [{float(low):.2f}, {float(high):.2f}]",
            ]
        )
        failed += [name] * (not low > 0.5)
    head = ["injected light", "number", "AUROC against no injection", "found", "fraction where the arc scores higher"]
    verdict = (
        "**The model does not distinguish arcs from these controls: " + "; ".join(failed) + ".**"
        if failed
        else "Arcs with the correct geometry, colours and curvature score higher."
    )
    return (
        f"{_null(rows)}\n\nEach control differs from an arc in one property:\n\n{markdown_table(head, told)}\n\n"
        f"{verdict}\n\n{_by_columns(rows, test)}"
    )


def _against(plain: Scored, score: np.ndarray) -> str:
    label = np.repeat([0, 1], [len(plain.score), len(score)])
    return f"{auroc(label, np.concatenate([plain.score, score]), n_boot=_DRAWS).value:.3f}"


def _null(rows: InjectedRows) -> str:
    """Return a sentence on whether trees distinguish cutouts with an injected flux of 0 from untouched ones."""
    null = (rows.truth["kind"] == _NULL).to_numpy()
    chosen = set(rows.truth["cutout"][null])
    features, label, group = [], [], []
    for kept in (rows.learn, rows.calibrate, rows.test, rows.controls):
        told = rows.truth.iloc[kept.places]
        inside = told["cutout"].isin(chosen).to_numpy() & told["kind"].isin(["none", _NULL]).to_numpy()
        if inside.any():
            # Simulated scenes may follow the rows of the pool in the same store.
            features.append(np.asarray(kept.store.measured().features[: len(told)])[inside])
            label.append((told["kind"][inside] == _NULL).to_numpy())
            group.append(told["group"][inside].to_numpy())
    X, y, groups = np.concatenate(features), np.concatenate(label).astype(int), np.concatenate(group)
    member = LightGBMMember(n_estimators=100, turns=False, min_child_samples=20)
    folds = GroupKFold(min(_FOLDS, len(np.unique(groups))))
    p = cross_val_predict(member, X, y, groups=groups, cv=folds, method="predict_proba")[:, 1]
    found = auroc(y, p, groups=groups, n_boot=_DRAWS)
    passed = "cannot be distinguished from" if found.low <= 0.5 <= found.high else "**can be distinguished from**"
    return (
        f"Cutouts with an injected flux of 0 {passed} untouched cutouts: trees trained to separate them reach an AUROC "
        f"of {found} on {int(y.sum()):,} pairs, out of fold."
    )


def _by_columns(rows: InjectedRows, test: Scored) -> str:
    """Return the AUROC of classifiers on brightness alone and on metadata alone, compared with the model."""
    X = np.asarray(rows.test.store.measured().features)
    label, group = test.truth["label"].to_numpy(), test.truth["group"].to_numpy()
    usable = np.isfinite(test.score)
    brightness = {
        band: X[:, [k for k, name in enumerate(FEATURE_NAMES) if name.endswith(f"_mean_{band}")]].mean(axis=1)
        for band in "gri"
    }
    if len(np.unique(group[usable])) < 2:
        return "Brightness alone and metadata alone were not tested, because the test rows show a single cluster."
    metadata = {name: X[:, FEATURE_NAMES.index(name)] for name in METADATA_NAMES}
    metadata = {name: values for name, values in metadata.items() if np.isfinite(values[usable]).any()}
    said = []
    folds = min(_FOLDS, len(np.unique(group[usable])))
    for what, columns in (("the mean brightness in g, r and i", brightness), ("the metadata", metadata)):
        if columns:
            chosen = {name: values[usable] for name, values in columns.items()}
            score = control_score(chosen, label[usable], groups=group[usable], cv=folds)
            said.append(f"{what} {auroc(label[usable], score, groups=group[usable], n_boot=_DRAWS)}")
    model = auroc(label[usable], test.score[usable], groups=group[usable], n_boot=_DRAWS)
    return f"AUROC for cutouts with and without arcs, by input: {', '.join(said)}; the model {model}."
