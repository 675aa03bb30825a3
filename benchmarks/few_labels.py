"""Comparison of methods that learn from a few labels of another sky.

Run ``python benchmarks/few_labels.py --pretrained deep``. Each method is trained on 50 to 1,000 labels, half of them
lenses, and evaluated on groups of the same sky that share no cutout with the labels. The skies are scenes of a preset
that no recipe simulates, and real windows of HSC and SDSS with injected arcs. The labels and the test groups are drawn
several times. Values are means over these draws, with 95 % intervals from a bootstrap over groups. Needs
``gridlens[deep]``; the sets are made once and cached in ``benchmarks/.cache/``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _other_skies import OtherSky, injected_windows, unseen_preset
from gridlens_deep import ConvNetMember, EmbeddingMember, embed
from other_skies import HERE, METRICS, Values, lines, mean, measured
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from gridlens import load_model
from gridlens.features import Measured, measure
from gridlens.members import LightGBMMember
from gridlens.stacking._meta import fit_meta

LABELS = (50, 100, 300, 1000)
PRESET, SCENES, SCENE_SEED = "euclid", 1800, 811
SURVEYS, PAIRS, WINDOW_SEED = ("hsc", "sdss"), 760, 821
# Largest fraction of the rows in the test set.
TESTED = 1.0 / 3.0
_METADATA = "image"
# Some skies have so few groups that with more folds some would have no lens.
_FOLDS = 3


@dataclass(frozen=True)
class Sky:
    """The usable cutouts of one sky and their features."""

    name: str
    measured: Measured = field(repr=False)
    label: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    pretrained: str
    _log_odds: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sky: OtherSky, pretrained: str) -> Sky:
        """Measure the cutouts of a sky and drop the rejected ones."""
        (cutouts,) = sky.cutouts
        found = measure(cutouts, _METADATA)
        kept = ~found.rejected
        return cls(sky.name, found[kept], sky.label[kept], sky.groups[kept], pretrained)

    @cached_property
    def images(self) -> Any:
        """Prepared images for a network."""
        return ConvNetMember().prepare(self.measured.cutouts)

    @cached_property
    def embedded(self) -> np.ndarray:
        """Embeddings by the pretrained network."""
        return embed(self.images, self.pretrained)

    def log_odds(self, model: str) -> np.ndarray:
        """Return the log-odds of a bundled model, computed only once."""
        if model not in self._log_odds:
            self._log_odds[model] = load_model(model).decision_function(self.measured)
        return self._log_odds[model]

    def test_rows(self, seed: int) -> np.ndarray:
        """Draw test groups with at most the fraction `TESTED` of the rows; return a mask of their rows."""
        names, group, sizes = np.unique(self.groups, return_inverse=True, return_counts=True)
        tested = np.zeros(len(names), dtype=bool)
        for number in np.random.default_rng(seed).permutation(len(names)):
            tested[number] = sizes[tested].sum() + sizes[number] <= TESTED * len(group)
        return tested[group]

    def labelled_rows(self, n: int, seed: int) -> np.ndarray:
        """Draw `n` rows outside the test groups, half of them lenses; raise ValueError if there are not enough."""
        rng = np.random.default_rng((seed, n))
        rest = ~self.test_rows(seed)
        kinds = [np.flatnonzero(rest & (self.label == kind)) for kind in (0, 1)]
        fewest = min(map(len, kinds))
        if fewest < n // 2:
            raise ValueError(f"The 'n' parameter must be at most {2 * fewest} for {self.name}. Got {n} instead.")
        return np.concatenate([rng.permutation(rows)[: n // 2] for rows in kinds])


# Takes a sky, the labelled rows, the test rows and a seed, and returns the scores of the test rows.
Method = Callable[[Sky, np.ndarray, np.ndarray, int], np.ndarray]


def bundled(name: str, sky: Sky, rows: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Score with a bundled model, without training."""
    return sky.log_odds(name)[tested]


def trees(sky: Sky, rows: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Train trees on the features."""
    features = sky.measured.features
    member = LightGBMMember(random_state=seed).fit(features[rows], sky.label[rows])
    return member.predict_proba(features[tested])[:, 1]


def network(pretrained: str | None, sky: Sky, rows: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Train a network from random or pretrained weights."""
    member = ConvNetMember(pretrained=pretrained, device="cpu", random_state=seed)
    member.fit(sky.images[rows], sky.label[rows], groups=sky.groups[rows])
    return member.decision_function(sky.images[tested])


def embedding(sky: Sky, rows: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Fit a logistic regression to the embedding of the pretrained network."""
    member = EmbeddingMember(sky.pretrained).fit(sky.embedded[rows], sky.label[rows], groups=sky.groups[rows])
    return member.decision_function(sky.embedded[tested])


def stacked(sky: Sky, rows: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Stack the regression and the unchanged classic model, with weights fitted out of fold."""
    member, classic = EmbeddingMember(sky.pretrained), sky.log_odds("default")
    y, groups = sky.label[rows], sky.groups[rows]
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    held_out = cross_val_predict(member, sky.embedded[rows], y, groups=groups, cv=folds, method="decision_function")
    weights, _ = fit_meta("logistic", np.column_stack([held_out, classic[rows]]), y)
    return np.column_stack([embedding(sky, rows, tested, seed), classic[tested]]) @ weights


def methods(pretrained: str) -> dict[str, Method]:
    """Return the methods by their names in the table. The first is the reference of the comparisons."""
    return {
        "`default`, unchanged": partial(bundled, "default"),
        f"`{Path(pretrained).name}`, unchanged": partial(bundled, pretrained),
        "`lightgbm` on the features": trees,
        "`convnet` from random weights": partial(network, None),
        "`convnet`, pretrained": partial(network, pretrained),
        "`embedding`": embedding,
        "`embedding` and `default`": stacked,
    }


def results(sky: Sky, n: int, chosen: list[Method], draws: int) -> Values:
    """Return the metrics of each method, averaged over the draws of the labels."""
    found = []
    for seed in range(draws):
        rows, tested = sky.labelled_rows(n, seed), sky.test_rows(seed)
        scores = [method(sky, rows, tested, seed) for method in chosen]
        test = OtherSky(sky.name, (), sky.label[tested], sky.groups[tested], pd.DataFrame())
        found.append(measured(test, scores, seed))
    return mean(found)


def skies(folder: Path, scenes: int, pairs: int) -> Iterator[OtherSky]:
    """Yield the skies one at a time, the real ones only if the folder with the images exists."""
    yield unseen_preset(PRESET, scenes, SCENE_SEED)
    if not folder.is_dir():
        print(f"Real windows: skipped, because there is no folder {folder}.")
        return
    for survey in SURVEYS:
        yield injected_windows(folder, survey, pairs, WINDOW_SEED)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", default="deep", help="a bundled model or a bundle with the member convnet")
    parser.add_argument("--labels", type=int, nargs="+", default=list(LABELS), help="numbers of labels")
    parser.add_argument("--draws", type=int, default=3, help="draws of the labels and the test groups")
    parser.add_argument("--scenes", type=int, default=SCENES, help="scenes of the preset")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="windows of each survey, each with and without an arc")
    parser.add_argument("--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the images")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    chosen = methods(arguments.pretrained)
    head = ["sky", "labels", "method", *METRICS, *(f"{name}, against the first" for name in METRICS)]
    print(f"\n| {' | '.join(head)} |\n|" + "---|" * len(head), flush=True)
    start = time.process_time()
    for other in skies(arguments.real, arguments.scenes, arguments.pairs):
        sky = Sky.of(other, arguments.pretrained)
        for n in arguments.labels:
            lines(sky.name, f"{n:,}", list(chosen), results(sky, n, list(chosen.values()), arguments.draws))
    print(f"\nProcessor time of this process: {(time.process_time() - start) / 60.0:.0f} minutes.")


if __name__ == "__main__":
    main()
