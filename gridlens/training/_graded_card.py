"""Parts of a model card that describe a training from grades."""

from __future__ import annotations

import pandas as pd

from gridlens.evaluation import Estimate
from gridlens.grading import GRADES, agreement
from gridlens.training._card import Words
from gridlens.training._graded_old import FEWEST_LENSES, FEWEST_OTHERS, OldRows, effective_count
from gridlens.training._grades import LENS, NO_LENS, Graded
from gridlens.training._markdown import markdown_table
from gridlens.training._old_model import OldModel
from gridlens.training._tuned import Tuned

__all__ = ["graded_sections", "graded_words"]

_LIMITS = """\
- The grades are opinions on images, not spectroscopic confirmations.
- Intended for cutouts like those of the pool. The scores above represent the pool if random objects were graded, and
  do not apply to other surveys.
- `p_lens` is valid at the declared prevalence for cutouts like those of the calibration."""
_ON = {
    "grades": "Calibrated on weighted out-of-fold scores of the graded rows that represent the pool",
    "labels": "Calibrated on out-of-fold scores of the labelled rows",
    "scenes": "Calibrated on {n:,} other simulated scenes",
}


def graded_words(table: pd.DataFrame, before: OldRows, labelled: bool, on: str, tuned: Tuned, old: OldModel) -> Words:
    """Return the texts of the card.

    Parameters
    ----------
    table : DataFrame
        Graded rows as returned by `labelled_twice`, with the column `represents` of the training set.
    before : OldRows
    labelled : bool
        Whether the earlier rows have labels in a table; otherwise they are simulated scenes.
    on : {"grades", "labels", "scenes"}
        Calibration rows.
    tuned : Tuned
    old : OldModel
    """
    objects = table.drop_duplicates("place")
    between = len(table) - len(objects)
    lines = [
        f"{len(objects):,} graded cutouts: {int((objects['label'] == 1).sum()):,} are more likely lenses than not. "
        f"{between:,} with a probability between {NO_LENS:g} and {LENS:g} are used with both labels, weighted by the "
        "probability.",
    ]
    if before.learn is not None:
        kind = "labelled cutouts" if labelled else f"simulated scenes of the recipe of {old.base}"
        lines.append(
            f"{len(before.learn.label):,} {kind} remain in the training with a weight of {tuned.scene_weight:g}, which "
            "was chosen out of fold."
        )
    lines.append(
        f"The graded non-lenses with the highest scores have a weight of {tuned.hard_weight:g}. The stacking weights "
        f"of the members and of the model {old.base} are learned from the grades alone."
    )
    calibrated = _ON[on].format(n=0 if before.calibrate is None else len(before.calibrate.label))
    if on != "grades":
        calibrated += (
            f", since the graded objects that represent the pool contain fewer than {FEWEST_LENSES} lenses or "
            f"{FEWEST_OTHERS} non-lenses (effective numbers)"
        )
    weighted = table["represents"].to_numpy()[table["label"].to_numpy() == 1].any()
    how = "Each cutout is scored by members that have not seen its cluster. "
    how += (
        "Cutouts are weighted by the inverse of their inclusion probability, so that the metrics apply to the whole "
        "pool."
        if weighted
        else "The cutouts were selected by a model, so the metrics do not apply to the whole pool."
    )
    return Words(
        title="A model of graded cutouts",
        trained_on="\n".join(lines),
        calibrated_on=calibrated,
        scored_on="on graded cutouts, out of fold",
        scored_how=how,
        limits=_LIMITS,
    )


def graded_sections(graded: Graded, table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the section on grades: graders, agreement, gold objects, and representation of the pool.

    Parameters
    ----------
    graded : Graded
    table : DataFrame
        As for `graded_words`.
    """
    grades, gold = graded.grades, graded.gold
    measured = agreement(grades, gold, n_boot=300)
    counts = pd.crosstab(grades["grader"], grades["grade"]).reindex(columns=list(GRADES), fill_value=0)
    same = measured.repeats.set_index("grader")["same"]
    found = {(row.grader, row.truth): row.found for row in measured.gold.itertuples()}
    rows = [
        [name, *row, same.get(name, ""), found.get((name, 1), "no gold"), found.get((name, 0), "no gold")]
        for name, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    ]
    head = [
        "grader",
        *GRADES,
        "repeats with the same grade",
        "gold lenses graded A or B",
        "gold non-lenses graded A or B",
    ]
    parts = [
        markdown_table(head, rows),
        f"Quadratic kappa of all pairs of graders: {measured.kappa}. The evidence from several grades of the same "
        f"object is tempered by a factor of {graded.found.tempering:.2g}.",
    ]
    if len(measured.completeness):
        bins = [
            [f"{row.snr_low:g} to {row.snr_high:g}", row.n_objects, row.completeness]
            for row in measured.completeness.itertuples()
        ]
        parts.append(markdown_table(["arc S/N of gold lenses", "objects", "completeness"], bins))
    parts.append(_represented(graded, table))
    return [("Grades", "\n\n".join(parts))]


def _represented(graded: Graded, table: pd.DataFrame) -> str:
    """Return sentences on the sample of the pool: effective numbers, prevalence, remaining lenses."""
    represents, label = table["represents"].to_numpy(), table["label"].to_numpy()
    if not represents.any():
        return "The graded objects do not represent the pool, because no random object was graded."
    by_class = [represents[label == one] for one in (1, 0)]
    effective = [effective_count(weight) for weight in by_class]
    prevalence = float(represents[label == 1].sum() / represents.sum())
    return (
        f"The objects that represent the pool have effective numbers of {effective[0]:.1f} lenses and "
        f"{effective[1]:.1f} non-lenses. The estimated prevalence of lenses in the pool is {prevalence:.2g}. "
        f"Estimated number of lenses not graded yet: {_count(graded.left)}."
    )


def _count(left: Estimate) -> str:
    return left.note or f"{left.value:.0f} [{left.low:.0f}, {left.high:.0f}]"
