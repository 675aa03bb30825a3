"""`gridlens simulate`: simulate a training set with known truth."""

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import Zeropoint
from gridlens.cli._terminal import say

__all__ = ["simulate"]


@click.command(
    short_help="Simulate a training set with known truth.",
    epilog="Example: gridlens simulate training/ --n 1000 --survey hsc --seed 1",
)
@click.argument("out")
@click.option("--n", type=click.IntRange(min=1), required=True, help="Number of scenes.")
@click.option(
    "--survey",
    "surveys",
    multiple=True,
    metavar="NAME",
    help="Survey preset to draw scenes from. Repeatable; all presets by default.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random numbers; the same seed gives the same scenes.",
)
@click.option(
    "--lens-fraction",
    type=click.FloatRange(0.0, 1.0),
    default=0.5,
    show_default=True,
    help="Fraction of scenes with a lens.",
)
@click.option(
    "--randomise",
    is_flag=True,
    help="Draw the PSF, noise, sky, galaxies, sources and impostors from wider ranges than those of the survey.",
)
@click.option("--realistic", is_flag=True, help="Draw galaxies, stars, PSF and noise as observed in survey images.")
@click.option(
    "--into",
    metavar="IMAGE",
    help="Real image or real cutouts to inject the arcs into, instead of simulated scenes.",
)
@click.option(
    "--pixel-scale", type=float, help="Pixel scale of the real image in arcsec per pixel, if its header has no WCS."
)
@click.option("--bands", help="Bands of the real image in the order of the array, such as gri.")
@click.option("--zeropoint", type=Zeropoint(), help="AB zero points of the real image, such as 27 or g=27,r=26.5,i=26.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Number of processes; -1 uses all processors.")
def simulate(
    out: str,
    n: int,
    surveys: tuple[str, ...],
    seed: int,
    lens_fraction: float,
    randomise: bool,
    realistic: bool,
    into: str | None,
    pixel_scale: float | None,
    bands: str | None,
    zeropoint: float | dict[str, float] | None,
    jobs: int,
) -> None:
    """Write N simulated cutouts to the folder OUT as npz shards, and their truth to truth.csv, one row per scene.

    OUT must be a new or empty folder.
    """
    if into is None and not (pixel_scale is None and bands is None and zeropoint is None):
        raise click.UsageError("--pixel-scale, --bands and --zeropoint describe the real image and need --into.")
    if into is not None and len(surveys) != 1:
        raise click.UsageError(
            "--into needs exactly one --survey, because the arcs are drawn for its depth and seeing."
        )
    if into is not None and (randomise or realistic):
        raise click.UsageError(
            "--randomise and --realistic apply to simulated scenes and cannot be combined with --into."
        )
    from gridlens.cutouts._surveys import SIMULATED_SURVEYS
    from gridlens.simulate import RANDOMISED, SceneSettings, load_backgrounds, write_injected_set, write_training_set

    unknown = [name for name in surveys if name.lower() not in SIMULATED_SURVEYS]
    if unknown:
        raise click.UsageError(f"--survey must be one of {', '.join(SIMULATED_SURVEYS)}. Got {unknown[0]!r} instead.")
    settings = SceneSettings(
        surveys=tuple(surveys) or SIMULATED_SURVEYS,
        lens_fraction=lens_fraction,
        randomisation=RANDOMISED if randomise else (),
        realistic_fraction=float(realistic),
    )
    backgrounds = None
    if into is not None:
        backgrounds = load_backgrounds(into, pixel_scale=pixel_scale, bands=bands, zeropoint=zeropoint)
    with progress_bar("Simulating", n) as advance:
        if backgrounds is None:
            truth = write_training_set(out, n, settings=settings, seed=seed, n_jobs=jobs, progress=advance)
        else:
            truth = write_injected_set(out, n, backgrounds, settings=settings, seed=seed, n_jobs=jobs, progress=advance)
    say(f"{len(truth)} scenes, {int(truth['label'].sum())} with a lens; written to {out}")
