"""Messages of the library, which name parameters, in the words of the command line, which has options."""

import re

__all__ = ["with_flags"]

# Options by the parameters that messages of the library name as a way out, such as "resume=True".
_FLAGS = {
    "bands": "--bands",
    "catalog": "--catalog",
    "columns": "--column",
    "engine": "--engine",
    "id": "--id",
    "images": "--image",
    "init_model": "--from",
    "match_psf": "--match-psf",
    "keep_columns": "--keep-columns",
    "max_size": "--max-size",
    "n_jobs": "--jobs",
    "npix": "--npix",
    "overwrite": "--overwrite",
    "pixel_scale": "--pixel-scale",
    "positive_unlabelled": "--positive-unlabelled",
    "recipe": "--recipe",
    "resume": "--resume",
    "scheduler": "--scheduler",
    "seeing": "--seeing",
    "size": "--size",
    "survey": "--survey",
    "uncalibrated": "--uncalibrated",
    "zeropoint": "--zeropoint",
}
# Options that are given once for each entry of a dictionary; others take all entries, with commas between them.
_REPEATED = ("columns", "images")
_HINT = re.compile(rf'(?<![\w/.-])({"|".join(_FLAGS)})=(True|"[^"]*"|\{{[^}}]*\}}|[\w-]+(?:\.\w+)*|)')


def with_flags(message: str) -> str:
    """Return a message with options in the place of keyword arguments.

    Examples
    --------
    >>> with_flags('Resume it with resume=True, or state the bands with bands="gri".')
    'Resume it with --resume, or state the bands with --bands gri.'
    >>> with_flags('Name them: columns={"ra": COLUMN, "dec": COLUMN}.')
    'Name them: --column ra=COLUMN --column dec=COLUMN.'
    >>> with_flags('State them with zeropoint={"g": .., "r": .., "i": ..}.')
    'State them with --zeropoint g=..,r=..,i=...'
    """
    return _HINT.sub(_as_option, message)


def _as_option(found: re.Match[str]) -> str:
    name, value = found.groups()
    flag = _FLAGS[name]
    if value in ("True", ""):
        return flag
    if not value.startswith("{"):
        return f"{flag} {value.strip(chr(34))}"
    pairs = [pair.replace('"', "").split(": ") for pair in value[1:-1].split(", ")]
    entries = [f"{key}={one}" for key, one in pairs]
    return " ".join(f"{flag} {one}" for one in entries) if name in _REPEATED else f"{flag} {','.join(entries)}"
