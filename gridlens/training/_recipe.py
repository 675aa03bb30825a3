"""Recipes of the bundled models: simulated scenes and members."""

from dataclasses import dataclass, replace
from typing import Any

from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.features._contract import METADATA_CHOICES
from gridlens.simulate import RANDOMISED

__all__ = ["RECIPES", "Recipe", "settings_of"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a model that is trained on simulated scenes.

    The scenes for training, calibration and test have different seeds. A third of the training scenes deviates from the
    canonical geometry, so that the model generalizes; all other scenes are canonical.

    Parameters
    ----------
    target : {"galaxy-cluster", "cluster-cluster"}, default="galaxy-cluster"
        Kind of lens. "cluster-cluster" places a background cluster behind the lens, and makes the field of all scenes
        wide enough for its images.
    surveys : tuple of str
        Survey presets of the scenes.
    n_train, n_calibrate, n_test : int
        Numbers of scenes. Half of the training and test scenes contain a lens.
    calibrate_lens_fraction : float, default=0.1
        Fraction of lenses among the calibration scenes. It is small, because a probability of one in a thousand depends
        on the few non-lenses with the highest scores, and many non-lenses are needed to count them.
    train_seed, calibrate_seed, test_seed : int
        Seeds of the scenes.
    members : tuple of str
        As in `LensDetector`.
    metadata : {"image", "survey", "all"}, default="image"
        As in `LensDetector`.
    faint_snr, faint_weight : float, default=20.0, 0.25
        Lenses with an arc S/N below `faint_snr` have the weight `faint_weight` in the training, because their arcs
        cannot be seen. They have full weight in the calibration and the test.
    mined_fraction : float, default=1/16
        Number of hard negatives taken from a pool, as a fraction of the number of training rows.
    randomisation : tuple of str, default=()
        Ingredients, among `gridlens.simulate.RANDOMISED`, that are drawn from wider ranges than those of the surveys in
        the training scenes. Calibration and test scenes are not randomised.
    randomised_fraction : float, default=0.5
        Fraction of the training scenes that are randomised; each ingredient is randomised in half of them.
    realistic_fraction : float, default=0.0
        Fraction of the training scenes that are drawn as observed in survey images.
    random_state : int, default=0
        Seed of the training.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from gridlens.training import RECIPES
    >>> replace(RECIPES["quick"], members=("linear",)).n_scenes
    5120
    """

    target: str = "galaxy-cluster"
    surveys: tuple[str, ...] = SIMULATED_SURVEYS
    n_train: int = 32768
    n_calibrate: int = 20480
    calibrate_lens_fraction: float = 0.1
    n_test: int = 8192
    train_seed: int = 1
    calibrate_seed: int = 3
    test_seed: int = 7
    members: tuple[str, ...] = ("lightgbm", "patch")
    metadata: str = "image"
    faint_snr: float = 20.0
    faint_weight: float = 0.25
    mined_fraction: float = 1.0 / 16.0
    randomisation: tuple[str, ...] = ()
    randomised_fraction: float = 0.5
    realistic_fraction: float = 0.0
    random_state: int = 0

    @property
    def n_scenes(self) -> int:
        """Total number of scenes."""
        return self.n_train + self.n_calibrate + self.n_test


RECIPES = {
    "default": Recipe(),
    "deep": Recipe(members=("lightgbm", "patch", "convnet(epochs=8)"), randomisation=RANDOMISED),
    # A sixteenth of the scenes, for trying out members or a pool in minutes.
    "quick": Recipe(n_train=2048, n_calibrate=2048, n_test=1024, train_seed=301, calibrate_seed=303, test_seed=307),
    "cluster-cluster": Recipe(
        target="cluster-cluster",
        n_train=2048,
        n_calibrate=1024,
        calibrate_lens_fraction=0.5,
        n_test=1024,
        train_seed=101,
        calibrate_seed=103,
        test_seed=107,
    ),
}
"""Recipes by name."""


def settings_of(recipe: str | Recipe | None, **chosen: Any) -> Recipe:
    """Return a recipe with the parameters given by the caller."""
    if not isinstance(recipe, Recipe):
        # A training on your own cutouts uses the settings of the bundled model.
        name = "default" if recipe is None else recipe
        if name not in RECIPES:
            raise ValueError(
                f"The 'recipe' parameter must be one of {', '.join(map(repr, RECIPES))}, or a Recipe. Got {name!r} "
                "instead."
            )
        recipe = RECIPES[name]
    given = {name: value for name, value in chosen.items() if value is not None}
    if "members" in given:
        given["members"] = tuple(given["members"])
    recipe = replace(recipe, **given)
    if recipe.metadata not in METADATA_CHOICES:
        raise ValueError(
            f"The 'metadata' parameter must be one of {', '.join(map(repr, METADATA_CHOICES))}. Got "
            f"{recipe.metadata!r} instead."
        )
    return recipe
