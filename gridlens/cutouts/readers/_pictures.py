"""Read RGB pictures with 8 bits per channel, which can be displayed and scored but have no photometry."""

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
# a palette holds colours, and Pillow stores its transparency as a fourth channel
_PALETTE = "P"
# Byte offset of the bits per channel in the header of a PNG.
_PNG_DEPTH = 24


def read_picture(entry: Entry, options: Resolved) -> CutoutSet:
    """Read one JPEG or PNG, red as i, green as r and blue as g, flagged `CutoutFlag.UNCALIBRATED`.

    Values are those of the file, 0 to 255; zero points and `bands` are not applied, and alpha is dropped. The first row
    of a picture is at the top, and that of a FITS image at the bottom, so the rows are flipped to give a picture of a
    FITS image the same orientation. A rotation given by the EXIF data is applied first, because viewers apply it, and
    positions of BCGs are measured in viewers.

    Raises
    ------
    CutoutError
        The picture is grey, not in RGB, has 16 bits per channel, or is far too large.
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
                        f"The picture is {'grey' if image.mode[0] in 'L1IF' else f'in {image.mode}'}, but red, green "
                        "and blue are needed to represent i, r and g. Save it as RGB from the three bands."
                    )
                if image.format == "PNG" and head[_PNG_DEPTH] == 16:
                    raise CutoutError(
                        "The PNG has 16 bits per channel, of which only the upper 8 can be read. Save its pixels as "
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
            "Crop it first."
        ) from exc
    if (rgb == rgb[..., :1]).all():
        raise CutoutError(
            "The picture is grey: its red, green and blue are equal, but they are needed to represent i, r and g. "
            "Save it as RGB from the three bands."
        )
    return CutoutSet(
        rgb[None, ::-1, :, ::-1],
        pixel_scale=options.scale(None),
        ids=[entry.id],
        paths=[entry.joined],
        flags=int(CutoutFlag.UNCALIBRATED) | assumed_flags(pixel_scale=options.knows_scale, zeropoint=True),
    )
