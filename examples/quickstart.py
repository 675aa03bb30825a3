"""Score the example cutouts and draw a contact sheet with their scores and arc candidates.

    pip install "gridlens[explain]"
    python examples/quickstart.py contact-sheet.png

The arc candidate is outlined in white; titles show the rank, the id and the score at even prevalence.
"""

import sys
from pathlib import Path

from gridlens import load_model
from gridlens.cutouts import read_batches
from gridlens.engine import score_batches
from gridlens.reports import draw_contact_sheet

CUTOUTS = Path(__file__).parent / "cutouts"


def main(target: str) -> None:
    """Score the cutouts, print the table and draw the contact sheet."""
    table = score_batches(load_model("default"), read_batches(CUTOUTS), prevalence=1e-3)
    print(table[["rank", "id", "p_lens", "score", "arc_distance", "arcness", "status"]].to_string(index=False))

    cutouts = (batch.cutouts for batch in read_batches(CUTOUTS) if batch.cutouts is not None)
    draw_contact_sheet(table, cutouts).savefig(target, dpi=200)
    print(f"contact sheet written to {target}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "contact-sheet.png")
