"""Options that several commands share, and their types."""

from typing import Any

import click

__all__ = [
    "BandPath",
    "ColumnName",
    "Fraction",
    "Prevalence",
    "SurveyName",
    "Zeropoint",
    "catalog_options",
    "engine_options",
    "image_options",
    "reading_options",
]


def _number(value: Any) -> float:
    """Return the number in a text; NaN if it is not a number."""
    try:
        return float(value)
    except ValueError:
        return float("nan")


class Prevalence(click.ParamType):
    """A prevalence strictly between 0 and 1, or one of the words in `also`."""

    name = "prevalence"

    def __init__(self, *also: str) -> None:
        self.also = also

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the prevalence as a float; raise a usage error for invalid text."""
        if value in self.also:
            return str(value)
        prevalence = _number(value)
        if not 0.0 < prevalence < 1.0:
            others = "".join(f", or {word!r}" for word in self.also)
            self.fail(f"must be a prevalence between 0 and 1, such as 1e-3{others}. Got {value!r} instead.", param, ctx)
        return prevalence


class Fraction(click.ParamType):
    """A fraction above 0 and at most 1."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the fraction as a float; raise a usage error for invalid text."""
        fraction = _number(value)
        if not 0.0 < fraction <= 1.0:
            self.fail(f"must be a fraction above 0 and at most 1, such as 0.1. Got {value!r} instead.", param, ctx)
        return fraction


class Zeropoint(click.ParamType):
    """AB zero points: a single number for all bands, or "g=27,r=26.5,i=26"."""

    name = "mag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | dict[str, float]:
        """Return a float, or a dictionary of floats by band; raise a usage error for invalid text."""
        if isinstance(value, float | dict):
            return value
        try:
            if "=" not in value:
                return float(value)
            return {band.strip(): float(mag) for band, mag in (part.split("=") for part in value.split(","))}
        except ValueError:
            self.fail(
                f"must be a number, or a number for each band such as g=27,r=26.5,i=26. Got {value!r}.", param, ctx
            )


class BandPath(click.ParamType):
    """A band and the path of its images: "g=PATH"."""

    name = "band=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the band and the path; raise a usage error for invalid text."""
        if isinstance(value, tuple):
            return value
        band, equals, path = str(value).partition("=")
        if band.strip() not in ("g", "r", "i") or not equals or not path.strip():
            self.fail(f"must be a band g, r or i and a path, such as g=coadds/g/. Got {value!r} instead.", param, ctx)
        return band.strip(), path.strip()


class SurveyName(click.ParamType):
    """The name of a survey preset."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name of the preset; raise a usage error that lists the known presets if it is unknown."""
        from gridlens.cutouts._surveys import SURVEYS

        if str(value).lower() not in SURVEYS:
            self.fail(f"must be one of {', '.join(SURVEYS)}. Got {value!r} instead.", param, ctx)
        return str(value).lower()


class ColumnName(click.ParamType):
    """A name used by gridlens and the name of the catalogue column: "richness=LAMBDA_CHISQ"."""

    name = "name=column"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the two names; raise a usage error for invalid text."""
        if isinstance(value, tuple):
            return value
        name, equals, column = str(value).partition("=")
        if not name.strip() or not equals or not column.strip():
            self.fail(f"must be a name and a column, such as richness=LAMBDA_CHISQ. Got {value!r} instead.", param, ctx)
        return name.strip(), column.strip()


def catalog_options(required: bool = False) -> Any:
    """Add the options for the catalogue and the names of its columns."""

    def decorate(command: Any) -> Any:
        command = click.option(
            "--column",
            "columns",
            type=ColumnName(),
            multiple=True,
            callback=lambda _ctx, _param, value: dict(value),
            help="Column of the catalogue whose name is not recognised, such as richness=LAMBDA_CHISQ. Repeatable.",
        )(command)
        return click.option(
            "--catalog",
            required=required,
            metavar="FILE",
            help="Catalogue of clusters with positions, metadata and BCGs: CSV, ECSV, FITS table, VOTable or Parquet.",
        )(command)

    return decorate


def image_options(command: Any) -> Any:
    """Add the options for cutting clusters out of survey images."""
    for option in (
        click.option(
            "--seeing",
            type=Zeropoint(),
            metavar="ARCSEC",
            help="FWHM of the PSF, such as 0.9 or g=1.1,r=0.9,i=0.8; overrides the headers.",
        ),
        click.option("--match-psf", is_flag=True, help="Convolve the sharper bands to the seeing of the worst band."),
        click.option(
            "--npix",
            type=click.IntRange(min=1),
            default=128,
            show_default=True,
            help="Side length of a cutout in pixels.",
        ),
        click.option(
            "--size", default="64arcsec", show_default=True, metavar="ANGLE", help="Side length of a cutout on the sky."
        ),
        click.option(
            "--image",
            "images",
            type=BandPath(),
            multiple=True,
            callback=_paths_by_band,
            help="Survey images of a band, such as g=PATH: a FITS file, a folder of tiles or a glob; files may be "
            "compressed. Required for each of g, r and i. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def engine_options(command: Any) -> Any:
    """Add the options for the workers and for existing output."""
    for option in (
        click.option(
            "--overwrite", is_flag=True, help="Replace the output, and discard the finished parts of an earlier run."
        ),
        click.option(
            "--resume",
            is_flag=True,
            help="Resume an interrupted run of the same command.",
        ),
        click.option(
            "--jobs", type=int, default=-1, show_default=True, help="Number of workers; -1 uses all processors."
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Address of a Dask scheduler, such as tcp://HOST:8786. Its workers must have access to the same "
            "files.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "dask"]),
            default="local",
            show_default=True,
            help="Run in local processes, or on Dask workers started on this machine. The output is the same.",
        ),
    ):
        command = option(command)
    return command


def _paths_by_band(
    _ctx: click.Context, _param: click.Parameter, value: tuple[tuple[str, str], ...]
) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    for band, path in value:
        paths.setdefault(band, []).append(path)
    return paths


def reading_options(command: Any) -> Any:
    """Add the options for reading files."""
    for option in (
        click.option(
            "--max-size",
            type=click.IntRange(min=1),
            help="Largest side length of a cutout in pixels. Files with larger images are rejected.  [default: 4096]",
        ),
        click.option(
            "--uncalibrated",
            is_flag=True,
            help="Also read JPEG and PNG pictures, which have no photometry; their rows are flagged.",
        ),
        click.option(
            "--zeropoint",
            type=Zeropoint(),
            help="AB zero points, such as 27 or g=27,r=26.5,i=26; override those in the headers.",
        ),
        click.option(
            "--survey",
            type=SurveyName(),
            help="Survey whose pixel scale, zero points, seeing, depth and filters are used where the files lack them.",
        ),
        click.option("--bands", help="Bands in the order of the arrays, such as gri; required for .npy files."),
        click.option(
            "--pixel-scale", type=float, help="Pixel scale of all cutouts in arcsec per pixel; overrides the files."
        ),
    ):
        command = option(command)
    return command
