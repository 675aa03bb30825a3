"""Digests: of the bytes of a part, stored within the part, and of the identity of a run."""

from __future__ import annotations

import hashlib
import json

__all__ = ["identity_digest", "is_sealed", "sealed", "unsealed_metadata"]

_KEY, _TAG = b"gridlens.digest", b"gridlens-blake2b:"
_DIGITS = 64
_UNSEALED = _TAG + b"0" * _DIGITS


def unsealed_metadata() -> dict[bytes, bytes]:
    """Return the metadata entry of a Parquet schema that `sealed` fills."""
    return {_KEY: _UNSEALED}


def sealed(content: bytes) -> bytes:
    """Return a file written with `unsealed_metadata`, with the zeros replaced by the digest of all its bytes.

    The digest is computed with the zeros in place, so that a file can contain its own digest.
    """
    at = content.rindex(_UNSEALED) + len(_TAG)
    return content[:at] + _digest(content) + content[at + _DIGITS :]


def is_sealed(content: bytes) -> bool:
    """Return whether the bytes are an unchanged result of `sealed`."""
    at = content.rfind(_TAG) + len(_TAG)
    if at < len(_TAG):
        return False
    found = content[at : at + _DIGITS]
    return found == _digest(content[:at] + b"0" * _DIGITS + content[at + _DIGITS :])


def identity_digest(identity: dict[str, str]) -> str:
    """Return one digest of all dependencies of a run."""
    return _digest(json.dumps(identity, sort_keys=True).encode()).decode()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGITS // 2).hexdigest().encode()
