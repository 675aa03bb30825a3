"""Learn from 60 known lenses among 5,000 otherwise unlabelled clusters.

    pip install gridlens
    python examples/known_lenses.py known-lenses/

The clusters are simulated, so the truth is known: 150 of 5,000 are lenses, and 60 of these, drawn from the half with
the brighter arcs, are given as known lenses. With your own cutouts, start at the measurement of the features.
"""

import sys
from pathlib import Path

import numpy as np

import gridlens
from gridlens.engine import measure_files
from gridlens.simulate import SceneSettings, write_training_set
from gridlens.sources import open_source


def main(
    target: str, n: int = 5000, n_lenses: int = 150, n_known: int = 60, members: tuple[str, ...] | None = None
) -> None:
    """Simulate, measure, train on the known lenses, and rank all clusters."""
    folder = Path(target)
    settings = SceneSettings(lens_fraction=n_lenses / n)
    truth = write_training_set(folder / "cutouts", n, settings=settings, seed=11)
    lenses = truth[truth["label"] == 1].sort_values("arc_snr", ascending=False)
    bright = lenses.head(max(n_known, len(lenses) // 2))
    known = bright.sample(min(n_known, len(bright)), random_state=0)[["id"]].assign(label=1)
    known.to_csv(folder / "known.csv", index=False)

    features = folder / "features.parquet"
    measure_files(open_source(folder / "cutouts"), features)
    trained = gridlens.train(
        features,
        known,
        positive_unlabelled=True,
        init_model="default",
        members=members,
        out=folder / "my-model",
        verbose=1,
    )
    print(trained.card.splitlines()[0])
    ranking = trained.ranking
    print(ranking[ranking["known_lens"] == 1].to_string(index=False))

    hidden = set(lenses["id"]) - set(known["id"])
    # The new model was trained on these clusters, so its out-of-fold ranking is used.
    for model, table in {"default": gridlens.score(features), "my-model": ranking}.items():
        new = table[~table["id"].isin(known["id"])].head(n_lenses)
        found = int(np.isin(new["id"], list(hidden)).sum())
        print(f"{model}: {found} of {len(hidden)} unknown lenses are among the best {n_lenses} of the other clusters")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "known-lenses")
