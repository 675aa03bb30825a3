"""Draw explanations of the scores of the example cutouts, as `gridlens explain` does, from Python.

    pip install "gridlens[explain]"
    python examples/gallery.py gallery/

The output folder contains a candidate sheet of each cutout (PNG and HTML), plots of the features that the scores depend
on (PNG), and a page on all cutouts (report/index.html).
"""

import sys
from pathlib import Path

from gridlens import load_model
from gridlens.cutouts import read_batches
from gridlens.engine import score_batches
from gridlens.explain import (
    Explainer,
    because,
    by_group,
    explain_table,
    importance,
    permutation_importance,
)
from gridlens.reports import (
    plot_beeswarm,
    plot_dependence,
    plot_importance,
    write_candidate_sheet,
    write_explanations,
)

CUTOUTS = Path(__file__).parent / "cutouts"
DPI = 130


def main(target: str) -> None:
    """Score and explain the cutouts, and draw the figures."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    explainer = Explainer(load_model("default"))
    table = score_batches(explainer.detector, read_batches(CUTOUTS), prevalence=1e-3)
    explanation, cutouts, prevalence, _ = explain_table(explainer, table)

    for row, name in enumerate(explanation.table["id"]):
        print(f"{name}: {because(explanation, row)}")
    print(by_group(explanation).round(2).assign(id=explanation.table["id"]).set_index("id").to_string())

    features = importance(explanation, "feature")
    names = features["name"].tolist()
    lost = permutation_importance(explainer.detector, explanation.features, by="feature", n_repeats=3)
    plot_importance(features, lost.set_index("name")["loss"]).savefig(folder / "importance.png", dpi=DPI)
    plot_beeswarm(explanation, names[:14]).savefig(folder / "beeswarm.png", dpi=DPI)
    plot_dependence(explanation, names[:6]).savefig(folder / "dependence.png", dpi=DPI)
    for cutout in cutouts.values():
        write_candidate_sheet(explainer, cutout, folder, prevalence=prevalence)
    write_explanations(explainer, explanation, cutouts, folder / "report", prevalence=prevalence)
    print(f"figures written to {folder}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "gallery")
