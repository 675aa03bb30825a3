"""`save_detector`: bundle of a detector, with a model card that describes its training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sklearn.utils.validation import check_is_fitted

from gridlens.detector import LensDetector
from gridlens.models._bundle import save_model

__all__ = ["save_detector"]

_METHODS = {"isotonic": "isotonic regression", "beta": "beta calibration, a smooth curve"}


def save_detector(
    detector: LensDetector,
    path: str | os.PathLike[str],
    *,
    card: str | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Save a bundle, see `LensDetector.save`."""
    check_is_fitted(detector, "calibrator_")
    save_model(detector, path, card=_card(detector) if card is None else card, training=training or {})


def _card(detector: LensDetector) -> str:
    """Return a model card in Markdown from the attributes of a detector."""
    calibrator = detector.calibrator_
    return "\n".join(
        [
            "# A lens detector",
            "",
            "Saved with `LensDetector.save`. No metrics on held-out rows are recorded: evaluate the model with "
            "`gridlens evaluate` before you rely on its probabilities.",
            "",
            "## Training",
            "",
            f"- Prevalence of labelled lenses in the training set: {detector.training_prevalence_:.3g}.",
            f"- Metadata that members may use: {detector.metadata}.",
            f"- Random state: {detector.random_state}.",
            "",
            "## Members",
            "",
            *_members(detector),
            "",
            "## Calibration",
            "",
            f"- Method: {_METHODS[calibrator.method_]}.",
            f"- Rows: {calibrator.n_positive_} lenses and {calibrator.n_negative_} others, a prevalence of "
            f"{detector.calibration_prevalence_:.3g}.",
            *([] if detector.recalibration_ is None else [f"- Then {detector.recalibration_}."]),
            "",
        ]
    )


def _members(detector: LensDetector) -> list[str]:
    """Return a table of the members; their metrics are only known after a fit, not in a loaded model."""
    weights = zip(detector.member_names_, detector.stack_.weights_, strict=True)
    if not hasattr(detector, "members_"):
        return ["| member | weight |", "|---|---|", *(f"| {name} | {weight:.3g} |" for name, weight in weights)]
    rows = [
        f"| {row.name} | {row.weight:.3g} | {row.auroc:.3f} | {row.average_precision:.3f} | {row.auroc_in_sample:.3f} |"
        for row in detector.members_.itertuples(index=False)
    ]
    return [
        "Metrics refer to the training labels. An in-sample AUROC far above the out-of-fold one indicates overfitting.",
        "",
        "| member | weight | out-of-fold AUROC | out-of-fold average precision | in-sample AUROC |",
        "|---|---|---|---|---|",
        *rows,
    ]
