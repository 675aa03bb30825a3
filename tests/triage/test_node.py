"""Tests of the page's modules under node: keys, unsent grades, undo, charts, and the stretch against Python's."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gridlens.cutouts import CutoutSet, band_noise
from gridlens.grading import SUBCLASSES
from gridlens.reports import lupton_rgb
from gridlens.reports._color import _SCALES, _with_grey_noise
from gridlens.triage._export import STATIC
from gridlens.triage._keys import KEYS
from gridlens.triage._views import encoded

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

# Writes the pixels of one image in every stretch to a file, one after another.
STRETCH = """
import { readFileSync, writeFileSync } from "node:fs";
import { decode, flux, colourLight, bandLight, toPixels, DEFAULTS } from "./stretch.js";
const [, , source, target] = process.argv;
const bytes = readFileSync(source);
const image = decode(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const bands = flux(image, "raw");
const { width } = image.header;
const shown = [
  toPixels(colourLight(bands, width), width),
  toPixels(colourLight(bands, width), width, { ...DEFAULTS, stretch: "asinh" }),
  toPixels(bandLight(bands, 1, width), width),
];
writeFileSync(target, Buffer.concat(shown.map((one) => Buffer.from(one))));
writeFileSync(target + ".flux", Buffer.concat(bands.map((band) => Buffer.from(band.buffer))));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a copy of the page's modules that every version of node loads as modules."""
    path = tmp_path_factory.mktemp("page")
    for module in STATIC.glob("*.js"):
        shutil.copy(module, path)
    (path / "package.json").write_text('{"type": "module"}')
    (path / "draw.js").write_text(STRETCH)
    return path


def test_modules_under_node(folder):
    more = {
        "GRIDLENS_STATIC": str(folder),
        "GRIDLENS_KEYS": json.dumps(KEYS),
        "GRIDLENS_SUBCLASSES": json.dumps(SUBCLASSES),
    }
    command = [NODE, "--test", str(Path(__file__).with_name("page.test.mjs"))]
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def asinh_stretch(light):
    """Stretch each channel (..., 3), in units of the noise, separately to bytes."""
    slope = 0.1 / np.arcsinh(0.8)
    return np.floor(255.0 * np.clip(slope * np.arcsinh(8.0 * (light + 1.0) / 6.0), 0.0, 1.0))


def above_sky(pixels, band):
    """Return the light of one band above the sky in units of its noise."""
    values = pixels[:, :, band]
    fine = np.isfinite(pixels).all(axis=2)
    steps = np.abs(np.diff(values, axis=1))[fine[:, 1:] & fine[:, :-1]]
    noise = 1.4826 * np.median(steps) / np.sqrt(2.0)
    return np.nan_to_num((values - np.nanpercentile(values, 40)) / noise)


@pytest.mark.parametrize("kind", ["galaxy", "missing", "narrow", "star"])
def test_the_stretch_matches_python(folder, noise, tmp_path, kind):
    pixels = noise(n=1, size=48, seed=3)[0]
    if kind == "missing":
        pixels[5:9, 7] = np.nan
        pixels[30, 20:24, 1] = np.nan
    elif kind == "narrow":
        pixels = pixels[:, 20:26]
    elif kind == "star":
        pixels[10:14, 10:14] += 50_000.0
    body = encoded(CutoutSet(pixels[None], pixel_scale=0.2, ids=["cl"]), ("raw",), {})
    (tmp_path / "image").write_bytes(body)
    subprocess.run([NODE, "draw.js", tmp_path / "image", tmp_path / "out"], cwd=folder, check=True, timeout=60)
    height, width = pixels.shape[:2]
    drawn = np.frombuffer((tmp_path / "out").read_bytes(), np.uint8).reshape(3, height, width, 4)[:, ::-1]
    sent = np.frombuffer((tmp_path / "out.flux").read_bytes(), np.float64).reshape(3, height, width)
    sent = np.moveaxis(sent, 0, 2)
    # One step of the 16-bit encoding is at most an eighth of the noise.
    assert np.nanmedian(np.abs(sent - pixels)) < 0.07
    assert np.array_equal(np.isnan(sent), np.isnan(pixels))

    expected = lupton_rgb(sent).astype(int)
    assert expected.max() > 200
    assert np.abs(drawn[0, :, :, :3] - expected).max() <= 1
    grey = asinh_stretch(above_sky(sent, 1))
    grey[np.isnan(sent[:, :, 1])] = 0
    assert np.abs(drawn[2, :, :, :3] - grey[:, :, None]).max() <= 1
    light = np.nan_to_num((sent - np.nanpercentile(sent, 40, axis=(0, 1))) / band_noise(sent)[1])[:, :, ::-1] * _SCALES
    plain = asinh_stretch(_with_grey_noise(light))
    plain[np.isnan(sent).any(axis=2)] = 0
    assert np.abs(drawn[1, :, :, :3] - plain).max() <= 1
    assert (drawn[..., 3] == 255).all()
