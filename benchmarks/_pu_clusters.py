"""Learning from 300 labelled lenses of 600 among 30,000 cutouts, for `benchmarks/pu.py`.

The simulated cutouts are 600 lenses and 7,350 clusters without a lens, each of these in four quarter turns. All views
of a cluster are in one fold.
"""

import warnings
from typing import Any

import numpy as np
from _scenes import cached_rows, usable
from joblib import Parallel, delayed
from lightgbm import LGBMClassifier
from sklearn.model_selection import StratifiedGroupKFold

from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.evaluation import auroc, average_precision
from gridlens.features import dihedral
from gridlens.features._contract import N_IMAGE_FEATURES
from gridlens.pu import ElkanNotoClassifier, NNPULGBMClassifier

N_LENSES, N_OTHERS, TURNS, N_LABELLED = 600, 7350, 4, 300
LENS_SEED, OTHER_SEED = 21, 22
FOLDS = 3


def clusters() -> None:
    """Print the average precision and the AUROC of each method, with lenses labelled at random and by bright arcs."""
    X, y, groups, snr = rows()
    rng = np.random.default_rng(0)
    lenses = np.flatnonzero(y)
    # The weight is the squared rank of the S/N: bright arcs are far more likely to be labelled than faint ones.
    bright = np.argsort(np.argsort(snr)).astype(float) ** 2
    labellings = {
        "at random": rng.choice(lenses, N_LABELLED, replace=False),
        "bright arcs": rng.choice(lenses, N_LABELLED, replace=False, p=bright / bright.sum()),
    }
    prior = float(y.mean())
    trees = LGBMClassifier(
        n_estimators=100,
        learning_rate=0.05,
        num_leaves=8,
        colsample_bytree=0.5,
        reg_lambda=1.0,
        n_jobs=1,
        random_state=0,
        verbosity=-1,
    )
    models = {
        "plain LightGBM, labelled against unlabelled": trees,
        "Elkan-Noto, weighted": ElkanNotoClassifier(trees, cv=3, random_state=0),
        "nnPU at the true prior": NNPULGBMClassifier(prior, colsample_bytree=0.5, random_state=0),
    }
    tasks = [("all lenses known (bound)", "", trees, y)]
    for labelling, chosen in labellings.items():
        s = np.zeros(len(y), dtype=np.int64)
        s[chosen] = 1
        tasks += [(name, labelling, model, s) for name, model in models.items()]
    found = Parallel(n_jobs=2)(delayed(out_of_fold)(model, X, s, y, groups) for *_, model, s in tasks)
    print(f"\n### {N_LABELLED} labelled of {y.sum()} lenses among {len(y):,} simulated cutouts\n")
    print(f"Out-of-fold scores of {FOLDS} folds and true labels of all rows; 95 % bootstrap intervals over clusters.\n")
    print("| learned by | labelled | average precision | AUROC | c (true: 0.5) |\n|---|---|---|---|---|")
    for (name, labelling, *_), (scores, c) in zip(tasks, found, strict=True):
        measures = (f(y, scores, groups=groups, n_boot=200) for f in (average_precision, auroc))
        print(f"| {name} | {labelling} | {' | '.join(map(str, measures))} | {c} |", flush=True)


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the image features, the labels, the clusters, and the S/N of the lenses' arcs."""
    lenses = usable(cached_rows(N_LENSES + 20, LENS_SEED, SIMULATED_SURVEYS, canonical=True, lens_fraction=1.0))
    others = usable(cached_rows(N_OTHERS + 100, OTHER_SEED, SIMULATED_SURVEYS, canonical=True, lens_fraction=0.0))
    turned = np.concatenate(list(dihedral(others.features[:N_OTHERS])[:TURNS]))
    X = np.concatenate([lenses.features[:N_LENSES], turned])[:, :N_IMAGE_FEATURES]
    y = np.repeat([1, 0], [N_LENSES, len(turned)])
    groups = np.concatenate([np.arange(N_LENSES), N_LENSES + np.tile(np.arange(N_OTHERS), TURNS)])
    return X, y, groups, lenses.truth["arc_snr"].to_numpy()[:N_LENSES]


def out_of_fold(model: Any, X: np.ndarray, s: np.ndarray, y: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the out-of-fold probability of each row, with folds by cluster, and the estimated propensities."""
    warnings.simplefilter("ignore", UserWarning)
    scores, propensities = np.empty(len(y)), []
    elkan_noto = isinstance(model, ElkanNotoClassifier)
    # The folds are stratified by the true labels, so that all labellings share them.
    for train, held in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(X, y, groups):
        options = {"groups": groups[train]} if elkan_noto else {}
        fitted = model.fit(X[train], s[train], **options)
        scores[held] = fitted.predict_proba(X[held])[:, 1]
        propensities += [f"{fitted.propensity_:.2f}"] if elkan_noto else []
    return scores, ", ".join(propensities)
