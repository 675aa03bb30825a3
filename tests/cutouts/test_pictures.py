import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gridlens import CutoutSet
from gridlens.cutouts import CutoutFlag, count_cutouts, read_batches
from gridlens.errors import CutoutError


@pytest.fixture
def rgb(rng):
    """Return a picture of shape (60, 50, 3) as it is stored, with the top row first."""
    return rng.integers(0, 256, size=(60, 50, 3), dtype=np.uint8)


@pytest.fixture
def write(tmp_path):
    def build(array, name="a.png", mode=None, **options):
        path = tmp_path / name
        image = Image.fromarray(array)
        (image if mode is None else image.convert(mode)).save(path, **options)
        return path

    return build


def read(path, **options):
    return CutoutSet.read(path, **({"pixel_scale": 0.3, "uncalibrated": True} | options))


def test_red_green_blue_are_i_r_g_and_rows_run_upwards(write, rgb):
    cutouts = read(write(rgb))
    assert cutouts.pixels.shape == (1, 60, 50, 3)
    assert cutouts.pixels.dtype == np.float32
    np.testing.assert_array_equal(cutouts.pixels[0], rgb[::-1, :, ::-1])
    assert cutouts.ids.tolist() == ["a"]
    assert cutouts.flags.tolist() == [CutoutFlag.UNCALIBRATED]


def test_a_picture_of_a_fits_image_has_its_orientation(write, tmp_path, wcs_header, write_bands, rng):
    """The picture is made in the usual way, with the first row of the FITS image at the bottom."""
    pixels = rng.integers(0, 256, size=(60, 60, 3), dtype=np.uint8)
    write_bands(tmp_path, pixels.astype(np.float32), wcs_header())
    path = write(np.flipud(pixels[..., ::-1]).copy(), "picture.png")
    np.testing.assert_array_equal(read(path).pixels, CutoutSet.read(tmp_path).pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "A.JPG"])
def test_jpeg(write, name):
    y, x = np.mgrid[:64, :64]
    rgb = np.stack([x, y + 100, 200 - x], axis=-1).astype(np.uint8)
    cutouts = read(write(rgb, name, quality=100, subsampling=0))
    np.testing.assert_allclose(cutouts.pixels[0], rgb[::-1, :, ::-1], atol=4)


def test_alpha_is_dropped_and_a_palette_is_converted(write, rgb):
    alpha = np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)])
    np.testing.assert_array_equal(read(write(alpha)).pixels[0], rgb[::-1, :, ::-1])
    path = write(rgb // 128 * 128, mode="P")
    assert Image.open(path).mode == "P"
    assert read(path).pixels.shape == (1, 60, 50, 3)


def test_the_rotation_of_exif_is_applied(write, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed with a rotation by 90 degrees clockwise
    shown = np.rot90(rgb, -1)
    np.testing.assert_array_equal(read(write(rgb, exif=exif)).pixels[0], shown[::-1, :, ::-1])


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "RGB"])
def test_grey_is_refused(write, rgb, mode):
    grey = np.repeat(rgb[..., :1], 3, axis=-1)
    path = write(rgb[..., 0].astype(np.uint16) * 256) if mode == "I;16" else write(grey, mode=mode)
    with pytest.raises(CutoutError, match=r"The picture is grey.*red, green and blue.*represent i, r and g"):
        read(path)


def test_other_colour_spaces_are_refused(write, rgb):
    with pytest.raises(CutoutError, match="The picture is in CMYK"):
        read(write(rgb, "a.jpg", mode="CMYK"))


def png16(path, rgb):
    height, width, _ = rgb.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    blocks = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(blocks))


def test_16_bits_per_channel_are_not_truncated_silently(tmp_path, rgb):
    png16(tmp_path / "a.png", rgb.astype(np.uint16) * 257)
    with pytest.raises(CutoutError, match=r"16 bits per channel, of which only the upper 8 .* \.npy or FITS"):
        read(tmp_path / "a.png")


def test_bombs_and_damage_fail_alone(write, rgb, tmp_path, monkeypatch):
    write(rgb, "good.png")
    cut = write(rgb, "cut.png")
    cut.write_bytes(cut.read_bytes()[:500])
    cut = write(rgb, "cut2.jpg")
    cut.write_bytes(cut.read_bytes()[:1000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.jpg").write_bytes(b"not a picture")
    write(np.zeros((100, 100, 3), np.uint8), "bomb.png")
    write(np.zeros((200, 200, 3), np.uint8), "bomb2.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9000)
    (batch,) = read_batches(tmp_path, pixel_scale=0.3, uncalibrated=True)
    assert batch.cutouts.ids.tolist() == ["good"]
    messages = {failure.id: failure.message for failure in batch.failures}
    assert set(messages) == {"cut", "cut2", "empty", "words", "bomb", "bomb2"}
    for name, message in messages.items():
        assert ("far more than a cutout" if "bomb" in name else "The file is damaged") in message


def test_the_scale_is_given_or_assumed_with_one_warning(write, rgb):
    write(rgb, "a.png")
    path = write(rgb, "b.png")
    with pytest.warns(UserWarning, match="pixel_scale=") as caught:
        cutouts = read(path.parent, pixel_scale=None)
    assert len(caught) == 1
    assert cutouts.pixel_scale.tolist() == [0.5, 0.5]
    assert set(read(path.parent).pixel_scale) == {0.3}


def test_zero_points_and_bands_are_ignored(write, rgb):
    cutouts = read(write(rgb), zeropoint=25, bands="grizy")
    np.testing.assert_array_equal(cutouts.pixels[0], rgb[::-1, :, ::-1])


def test_pictures_require_uncalibrated(write, rgb, tmp_path):
    path = write(rgb)
    for paths in (path, str(tmp_path / "*.png"), tmp_path):
        with pytest.raises(CutoutError, match=r"There are only pictures .*no photometry; uncalibrated=True"):
            CutoutSet.read(paths)
        with pytest.raises(CutoutError, match="There are only pictures"):
            count_cutouts(paths)
    assert len(read(tmp_path)) == count_cutouts(tmp_path, uncalibrated=True) == 1


def test_pictures_beside_other_cutouts_are_ignored(write, rgb, tmp_path, cutout):
    path = write(rgb)
    np.save(tmp_path / "b.npy", cutout)
    for paths in (tmp_path, str(tmp_path / "*")):
        assert CutoutSet.read(paths, pixel_scale=0.3, bands="gri").ids.tolist() == ["b"]
    with pytest.raises(CutoutError, match="There are only pictures"):
        CutoutSet.read([tmp_path, path])
    (batch, other) = read_batches(tmp_path, pixel_scale=0.3, bands="gri", zeropoint=27.0, uncalibrated=True)
    assert {batch.cutouts.ids[0], other.cutouts.ids[0]} == {"a", "b"}
    assert {int(b.cutouts.flags[0]) for b in (batch, other)} == {0, int(CutoutFlag.UNCALIBRATED)}


def test_missing_pillow_has_a_clear_message(write, rgb, tmp_path, cutout, monkeypatch):
    path = write(rgb)
    np.save(tmp_path / "b.npy", cutout)
    for name in ("PIL", "PIL.Image"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    (batch,) = read_batches(tmp_path, pixel_scale=0.3, uncalibrated=True)
    assert "pictures needs the package PIL" in batch.failures[0].message
    assert "pip install 'gridlens[formats]'" in batch.failures[0].message
    with pytest.raises(CutoutError, match=r"gridlens\[formats\]"):
        read(path)
