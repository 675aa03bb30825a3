"""Parts of a scene that can be drawn from wider distributions than those of a survey.

Networks and trees learn artefacts of a simulator as well as arcs. Varying these artefacts from scene to scene leaves
fewer of them to learn (domain randomization, Tobin et al. 2017, IROS, 23).
"""

import numpy as np

__all__ = ["RANDOMISED", "Streams"]

RANDOMISED = (
    "psf",
    "noise",
    "background",
    "registration",
    "sampling",
    "galaxies",
    "sources",
    "impostors",
)
"""names of the randomized parts, in the order of their streams of random numbers"""


class Streams:
    """Random generators of the randomized parts of one scene.

    Each part has its own stream, separate from that of the scene, so that omitting a part does not change the others.

    Parameters
    ----------
    seed, index : int
        As in `simulate_scene`.
    names : tuple of str
        Names of the parts, from `RANDOMISED`.
    fraction : float, default=1.0
        Fraction of the scenes that are randomized.
    """

    def __init__(self, seed: int, index: int, names: tuple[str, ...], fraction: float = 1.0) -> None:
        def stream(number: int) -> np.random.Generator:
            return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index, 1 + number)))

        randomised = bool(names) and stream(len(RANDOMISED)).random() < fraction
        self._streams = {name: stream(number) for number, name in enumerate(RANDOMISED) if randomised and name in names}

    def of(self, name: str) -> np.random.Generator | None:
        """Return the stream of a part, or None if it is not randomized."""
        return self._streams.get(name)

    def in_half(self, name: str) -> np.random.Generator | None:
        """Return the stream of a part in half of the scenes; None in the other half or if it is not randomized.

        Half of the scenes keep the plain part, so that the actual survey is well represented.
        """
        stream = self.of(name)
        return stream if stream is not None and stream.random() < 0.5 else None
