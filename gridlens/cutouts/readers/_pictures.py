"""Read RGB pictures, 8 bits a channel: something to look at and to score, without photometry."""

import warnings

import numpy as np

from gridlens.cutouts._damage import import_library
from gridlens.cutouts._declared import assumed_flags
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts.readers._resolved import Resolved, check_size
from gridlens.cutouts.readers._scan import Entry
from gridlens.errors import CutoutError

__all__ = ["read_picture"]

_COLOURS = ("RGB", "RGBA")
# a palette holds colours, and Pillow has its transparency as a fourth channel
_PALETTE = "P"
# The bits a channel stand at this byte of a PNG, in the header that begins every one.
_PNG_DEPTH = 24


def read_picture(entry: Entry, options: Resolved) -> CutoutSet:
    """Read one JPEG or PNG, red as i, green as r and blue as g, flagged `CutoutFlag.UNCALIBRATED`.

    Values are those of the file, 0 to 255; zero points and `bands` do not apply to them, and alpha is dropped.
    Pictures run from the top down and FITS from the bottom up: the rows are flipped, so that the picture of a FITS
    image gives the same orientation. A rotation that the EXIF data ask for is made first, since viewers show the
    picture so, and that is where a person reads the position of the BCG.

    Raises
    ------
    CutoutError
        The picture is grey, of another colour space than RGB, of 16 bits a channel, or far too large.
    """
    library = import_library("PIL.Image", "pictures")
    orient = import_library("PIL.ImageOps", "pictures").exif_transpose
    with open(entry.path, "rb") as file:
        head = file.read(_PNG_DEPTH + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", library.DecompressionBombWarning)
            with library.open(entry.path, formats=("JPEG", "PNG")) as image:
                if image.mode not in (*_COLOURS, _PALETTE):
                    raise CutoutError(
                        f"The picture is {'grey' if image.mode[0] in 'L1IF' else f'in {image.mode}'}, and its red, "
                        "green and blue are needed to stand for i, r and g. Save it as RGB from the three bands."
                    )
                if image.format == "PNG" and head[_PNG_DEPTH] == 16:
                    raise CutoutError(
                        "The PNG has 16 bits a channel, of which only the upper 8 can be read. Save its pixels as "
                        ".npy or FITS instead."
                    )
                check_size(image.height, image.width, options)
                picture = orient(image)
                if picture.mode == _PALETTE:
                    picture = picture.convert("RGB")
                rgb = np.asarray(picture)[..., :3]
    except (library.DecompressionBombError, library.DecompressionBombWarning) as exc:
        raise CutoutError(
            f"The picture has over {library.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels, far more than a cutout. "
            "Cut it down first."
        ) from exc
    if (rgb == rgb[..., :1]).all():
        raise CutoutError(
            "The picture is grey: its red, green and blue are the same, and they are needed to stand for i, r and g. "
            "Save it as RGB from the three bands."
        )
    return CutoutSet(
        rgb[None, ::-1, :, ::-1],
        pixel_scale=options.scale(None),
        ids=[entry.id],
        paths=[entry.joined],
        flags=int(CutoutFlag.UNCALIBRATED) | assumed_flags(pixel_scale=options.knows_scale, zeropoint=True),
    )
