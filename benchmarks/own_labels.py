"""A few labels of your own: training from scratch, training on top of the bundled model, and the bundled model alone.

python benchmarks/own_labels.py [--scenes 600] [--labelled 100 200]

Prints a table. The features of the scenes are cached in `benchmarks/.cache/`. The scenes have a different seed from
those of the bundled model, but come from the same simulator, which favours it.
"""

import argparse
import warnings

from _scenes import cached_rows
from scipy.stats import rankdata

from gridlens import LensDetector, load_model
from gridlens.evaluation import auroc, compare
from gridlens.training import RECIPES

SEED = 911
MEMBERS = RECIPES["default"].members


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=600, help="scenes; those without a label are the test set")
    parser.add_argument("--labelled", type=int, nargs="+", default=[100, 200])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    scenes = cached_rows(arguments.scenes, SEED, RECIPES["default"].surveys, canonical=True)
    test = scenes[max(arguments.labelled) :]
    bundled = load_model("default").decision_function(test.measured)
    print(f"\nAUROC on {len(test.label)} scenes, and its paired difference from the bundled model\n")
    print("| labelled | trained | AUROC | difference |\n|---|---|---|---|")
    print(f"| | the bundled model | {auroc(test.label, bundled)} | |")
    for n in arguments.labelled:
        for how, members in (("from scratch", MEMBERS), ("on top of it", (*MEMBERS, "pretrained"))):
            detector = LensDetector(members, n_jobs=-1, random_state=0)
            score = detector.fit(scenes.features[:n], scenes.label[:n]).decision_function(test.features)
            gain = compare(test.label, rankdata(bundled), rankdata(score), auroc)["auroc"].difference
            said = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            print(f"| {n} | {how} | {auroc(test.label, score)} | {said} |", flush=True)


if __name__ == "__main__":
    main()
