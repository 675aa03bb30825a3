"""`gridlens simulate`: training sets with known truth."""

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
@click.option("--n", type=click.IntRange(min=1), required=True, help="Scenes.")
@click.option(
    "--survey",
    "surveys",
    multiple=True,
    metavar="NAME",
    help="Preset to draw from; may be repeated. All of them unless said.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same scenes.")
@click.option(
    "--lens-fraction",
    type=click.FloatRange(0.0, 1.0),
    default=0.5,
    show_default=True,
    help="Share of scenes with a lens.",
)
@click.option(
    "--randomise",
    is_flag=True,
    help="Draw PSF, noise, sky, galaxies, sources and impostors more widely than the survey has them.",
)
@click.option(
    "--realistic", is_flag=True, help="Draw galaxies, stars, PSF and noise as the images of surveys show them."
)
@click.option(
    "--into",
    metavar="IMAGE",
    help="Inject the arcs into cutouts of a real image, or into real cutouts, instead of drawn scenes.",
)
@click.option("--pixel-scale", type=float, help="arcsec per pixel of the real image, where its header has no WCS.")
@click.option("--bands", help="Bands of the real image in the order in which an array holds them, such as gri.")
@click.option("--zeropoint", type=Zeropoint(), help="AB zero points of the real image: 27 or g=27,r=26.5,i=26.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for all cores.")
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
    """Write N simulated cutouts to the folder OUT: npz shards and truth.csv, one row a scene.

    OUT must be new or empty.
    """
    if into is None and not (pixel_scale is None and bands is None and zeropoint is None):
        raise click.UsageError("--pixel-scale, --bands and --zeropoint describe the real image of --into.")
    if into is not None and len(surveys) != 1:
        raise click.UsageError("--into needs one --survey, whose depth and seeing the arcs are drawn for.")
    if into is not None and (randomise or realistic):
        raise click.UsageError("--randomise and --realistic are for drawn scenes, not for the real image of --into.")
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
