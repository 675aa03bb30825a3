"""Where cutouts come from: files, survey images with a catalogue, feature caches."""

from gridlens.sources._caches import CacheSource
from gridlens.sources._files import FileSource
from gridlens.sources._images import ImageSource
from gridlens.sources._partition import Partition
from gridlens.sources._stamps import stamp

__all__ = ["CacheSource", "FileSource", "ImageSource", "Partition", "stamp"]
