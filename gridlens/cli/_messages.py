"""Translation of the parameters named in messages of the library into options of the command line."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["as_flags", "with_flags"]

# Options by the parameters that messages of the library suggest, such as "resume=True".
_FLAGS = {
    "bands": "--bands",
    "catalog": "--catalog",
    "columns": "--column",
    "engine": "--engine",
    "grader": "--grader",
    "grades": "--grades",
    "id": "--id",
    "images": "--image",
    "init_model": "--from",
    "inject_into": "--inject-into",
    "known_lenses": "--known-lenses",
    "match_psf": "--match-psf",
    "keep_columns": "--keep-columns",
    "max_size": "--max-size",
    "model": "--model",
    "n_jobs": "--jobs",
    "novelty": "--novelty",
    "npix": "--npix",
    "other_pixels": "--other-pixels",
    "overwrite": "--overwrite",
    "port": "--port",
    "pixel_scale": "--pixel-scale",
    "positive_unlabelled": "--positive-unlabelled",
    "recalibrate": "--recalibrate",
    "recipe": "--recipe",
    "rename": "--rename",
    "resume": "--resume",
    "scheduler": "--scheduler",
    "screen": "--screen",
    "seeing": "--seeing",
    "size": "--size",
    "survey": "--survey",
    "translate": "--translate",
    "uncalibrated": "--uncalibrated",
    "zeropoint": "--zeropoint",
}
# Options that are repeated for each entry of a dictionary; others take all entries, separated by commas.
_REPEATED = ("columns", "images", "rename", "translate")
_HINT = re.compile(rf'(?<![\w/.-])({"|".join(_FLAGS)})=(True|"[^"]*"|\{{[^}}]*\}}|[\w-]+(?:\.\w+)*|)')


def as_flags(arguments: Mapping[str, Any]) -> str:
    """Return arguments of `open_source` and `load_model` as command-line options, without the paths of cutouts.

    Examples
    --------
    >>> as_flags({"catalog": "clusters.csv", "images": {"g": ["a/g", "b/g"]}, "zeropoint": {"g": 27.0, "r": 26.5}})
    '--catalog clusters.csv --image g=a/g --image g=b/g --zeropoint g=27.0,r=26.5'
    """
    words: list[str] = []
    for name, flag in _FLAGS.items():
        value = arguments.get(name)
        if name in _REPEATED:
            pairs = (value or {}).items()
            entries = [(key, one) for key, found in pairs for one in ([found] if isinstance(found, str) else found)]
            words += [word for key, one in entries for word in (flag, f"{key}={one}")]
        elif isinstance(value, Mapping):
            words += [flag, ",".join(f"{key}={one}" for key, one in value.items())]
        elif value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return shlex.join(words)


def with_flags(message: str) -> str:
    """Return a message in which keyword arguments are replaced by command-line options.

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
