"""Make `cutouts/simulated.npz` and its truth: twelve scenes of the canonical geometry, half of them with a lens.

The script can be run from any folder.
"""

from pathlib import Path

import pandas as pd

from gridlens.cutouts import write_npz
from gridlens.simulate import SceneSettings, scenes_to_cutouts, simulate_scene

FOLDER = Path(__file__).parent / "cutouts"
SEED = 2026
EACH = 6


def main() -> None:
    """Simulate scenes in order until there are six of each class."""
    settings = SceneSettings(surveys=("hsc", "des", "lsst", "kids", "cfhtls"), varied_fraction=0.0)
    scenes, wanted, index = [], {0: EACH, 1: EACH}, 0
    while any(wanted.values()):
        scene = simulate_scene(SEED, index, settings)
        index += 1
        if wanted[scene.truth["label"]]:
            wanted[scene.truth["label"]] -= 1
            scenes.append(scene)
    write_npz(FOLDER / "simulated.npz", scenes_to_cutouts(scenes))
    truth = pd.DataFrame([scene.truth for scene in scenes])
    columns = ["id", "label", "survey", "theta_e", "arc_snr", "arc_mag_r", "arc_distance", "impostor", "redshift"]
    truth[columns].to_csv(FOLDER / "simulated_truth.csv", index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
