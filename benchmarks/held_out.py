"""Scores of the bundled model on 20,000 unseen simulated cutouts, one in a hundred with a lens.

python benchmarks/held_out.py FOLDER

Writes FOLDER/scores.csv and FOLDER/truth.csv for `gridlens evaluate`. The features are cached in
`benchmarks/.cache/`.
"""

import argparse
from pathlib import Path

import pandas as pd
from _scenes import cached_rows

from gridlens import load_model
from gridlens.calibration import shift_prior
from gridlens.cutouts._surveys import SIMULATED_SURVEYS

N_SCENES, SEED, PREVALENCE = 20_000, 11, 0.01


def main() -> None:
    """Write the tables of scores and truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    rows = cached_rows(N_SCENES, SEED, SIMULATED_SURVEYS, canonical=True, lens_fraction=PREVALENCE)
    detector = load_model("default")
    even = detector.predict_proba(rows.features_with(detector.metadata), prevalence=0.5)[:, 1]
    scores = {"id": rows.truth["id"], "p_lens": shift_prior(even, 0.5, 1e-3), "prevalence": 1e-3, "score": even}
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(scores).to_csv(folder / "scores.csv", index=False)
    rows.truth.to_csv(folder / "truth.csv", index=False)


if __name__ == "__main__":
    main()
