"""Score the example cutouts and draw a contact sheet: each score, and the arc candidate that it is based on.

    pip install "gridlens[explain]"
    python examples/quickstart.py contact-sheet.png

The best arc candidate is outlined in white, and the circle through it dashed; titles give the rank, the name and the
score at even prevalence.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from gridlens import load_model
from gridlens.cutouts import read_batches
from gridlens.engine import score_batches
from gridlens.reports import draw_candidate

CUTOUTS = Path(__file__).parent / "cutouts"
COLUMNS = 6


def main(target: str) -> None:
    """Score, print the table, draw."""
    table = score_batches(load_model("default"), read_batches(CUTOUTS), prevalence=1e-3)
    print(table[["rank", "id", "p_lens", "score", "arc_distance", "arcness", "status"]].to_string(index=False))

    cutouts = {cutout.ids[0]: cutout for batch in read_batches(CUTOUTS) for cutout in batch.cutouts}
    rows = -(-len(table) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(2.4 * COLUMNS, 2.7 * rows), layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (_, row) in zip(axes.flat, table.iterrows(), strict=False):
        draw_candidate(cutouts[row["id"]], axis, patch=row["arc_patch"])
        axis.set_title(f"{row['rank']}  {row['id'][:20]}\n{row['score']:.2f}", fontsize=8)
    figure.savefig(target, dpi=110)
    print(f"drawn to {target}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "contact-sheet.png")
