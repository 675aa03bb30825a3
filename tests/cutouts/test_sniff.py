"""Tests that the kind of a file is recognised by its first bytes, and that pipes and devices are not opened."""

import bz2
import gzip
import io
import lzma
import os
import socket

import numpy as np
import pytest

from gridlens._content import KIND_WORDS
from gridlens.cutouts._sniff import content_kind
from gridlens.errors import CutoutError


def saved(writer, *args, **kwargs):
    buffer = io.BytesIO()
    writer(buffer, *args, **kwargs)
    return buffer.getvalue()


def picture(kind):
    image = pytest.importorskip("PIL.Image").new("RGB", (8, 8))
    return saved(image.save, format=kind)


FITS = b"SIMPLE  =                    T".ljust(2880)
CONTENTS = {
    "fits": FITS,
    "npy": saved(np.save, np.ones(3)),
    "zip": saved(np.savez, pixels=np.ones(3)),
    "gzip": gzip.compress(FITS),
    "bzip2": bz2.compress(FITS),
    "xz": lzma.compress(FITS),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(40),
    "compress": b"\x1f\x9d\x90" + bytes(40),
    "parquet": b"PAR1" + bytes(40),
    "html": b"\n<!DOCTYPE html><html>404</html>",
    "": b"",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_first_bytes_determine_the_kind(tmp_path, kind):
    path = tmp_path / "name.fits"
    path.write_bytes(CONTENTS[kind])
    assert content_kind(path) == kind
    assert KIND_WORDS[kind]


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_pictures_are_recognised(tmp_path, kind):
    path = tmp_path / "name.npy"
    path.write_bytes(picture(kind))
    assert content_kind(path) == kind


@pytest.mark.parametrize("block", [0, 512, 2048])
def test_hdf5_is_found_behind_a_user_block(tmp_path, block):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "name.dat"
    with h5py.File(path, "w", userblock_size=block) as file:
        file["a"] = 1
    assert content_kind(path) == "hdf5"


def test_text_and_noise_have_no_kind(tmp_path):
    path = tmp_path / "notes.npy"
    for content in (b"hello", b"PK", b"SIMPLE", np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        assert content_kind(path) == ""


def test_pipes_sockets_devices_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink("/dev/zero", tmp_path / "link")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name, words in {"pipe": "named pipe", "link": "a device", "socket": "a socket", ".": "a folder"}.items():
            with pytest.raises(CutoutError, match=words):
                content_kind(tmp_path / name)


def test_a_missing_file_raises_as_open_does(tmp_path):
    with pytest.raises(FileNotFoundError):
        content_kind(tmp_path / "missing.fits")
