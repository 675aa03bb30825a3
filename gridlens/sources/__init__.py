"""Sources of cutouts: files, survey images with a catalogue, feature caches.

Every command and function that processes many cutouts accepts a `Source`. `open_source` creates one from paths.
"""

from gridlens.cutouts.images import CutOptions
from gridlens.cutouts.readers import ReadOptions
from gridlens.sources._caches import CacheSource
from gridlens.sources._files import FileSource
from gridlens.sources._images import ImageSource
from gridlens.sources._open import open_source
from gridlens.sources._partition import Partition
from gridlens.sources._source import Source

__all__ = [
    "CacheSource",
    "CutOptions",
    "FileSource",
    "ImageSource",
    "Partition",
    "ReadOptions",
    "Source",
    "open_source",
]
