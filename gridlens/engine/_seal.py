"""Digests: of a part's bytes, kept within the part, and of what a run depends on."""

from __future__ import annotations

import hashlib
import json

__all__ = ["identity_digest", "is_sealed", "sealed", "unsealed_metadata"]

_KEY, _TAG = b"gridlens.digest", b"gridlens-blake2b:"
_DIGITS = 64
_UNSEALED = _TAG + b"0" * _DIGITS


def unsealed_metadata() -> dict[bytes, bytes]:
    """Return the entry of a Parquet schema's metadata that `sealed` fills in."""
    return {_KEY: _UNSEALED}


def sealed(content: bytes) -> bytes:
    """Return a file that was written with `unsealed_metadata`, the digest of all its bytes in the place of the zeros.

    The digest is that of the file with the zeros in it, so that one file holds its own digest.
    """
    at = content.rindex(_UNSEALED) + len(_TAG)
    return content[:at] + _digest(content) + content[at + _DIGITS :]


def is_sealed(content: bytes) -> bool:
    """Return whether the bytes are those that `sealed` returned."""
    at = content.rfind(_TAG) + len(_TAG)
    if at < len(_TAG):
        return False
    found = content[at : at + _DIGITS]
    return found == _digest(content[:at] + b"0" * _DIGITS + content[at + _DIGITS :])


def identity_digest(identity: dict[str, str]) -> str:
    """Return one digest of all that a run depends on."""
    return _digest(json.dumps(identity, sort_keys=True).encode()).decode()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGITS // 2).hexdigest().encode()
