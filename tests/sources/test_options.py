"""Tests of the options for reading and cutting: they are checked once, and compared, hashed and pickled by value."""

import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import gridlens
from gridlens.cutouts import CutoutSet, count_cutouts, extract, extract_batches, read_batches
from gridlens.errors import CutoutError
from gridlens.sources import CutOptions, ReadOptions, open_source

READ = {"pixel_scale": 0.2, "bands": "grizy", "zeropoint": {"g": 26, "r": 25, "i": 24}, "survey": "hsc"}
CUT = {"size": "1arcmin", "npix": 100, "zeropoint": 26.0, "match_psf": True, "seeing": {"g": 1.1, "r": 0.9}}


@pytest.mark.parametrize(("kind", "values"), [(ReadOptions, READ), (CutOptions, CUT)])
def test_options_are_compared_hashed_and_pickled_by_value(kind, values):
    options = kind(**values)
    assert options == kind(**values) != kind()
    assert hash(options) == hash(kind(**values))
    assert pickle.loads(pickle.dumps(options)) == options
    assert dataclasses.replace(options) == options
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.survey = "des"


def test_one_zero_point_applies_to_all_bands():
    assert ReadOptions(zeropoint=26).zeropoint == {"g": 26.0, "r": 26.0, "i": 26.0}
    assert CutOptions(seeing={"g": 1.0}).seeing == {"g": 1.0}
    assert CutOptions(size="0.5arcmin", npix=60).pixel_scale == 0.5


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ReadOptions, {"pixel_scale": 0}),
        (ReadOptions, {"pixel_scale": "wide"}),
        (ReadOptions, {"bands": "gr"}),
        (ReadOptions, {"zeropoint": np.nan}),
        (ReadOptions, {"survey": "nowhere"}),
        (ReadOptions, {"max_size": 0}),
        (ReadOptions, {"max_size": True}),
        (CutOptions, {"size": "wide"}),
        (CutOptions, {"npix": 0}),
        (CutOptions, {"zeropoint": {"g": 27}}),
        (CutOptions, {"survey": "nowhere"}),
        (CutOptions, {"seeing": -1.0}),
    ],
)
def test_an_invalid_option_is_named(kind, values):
    (name,) = values
    with pytest.raises(CutoutError, match=f"The '{name}' parameter must"):
        kind(**values)


@pytest.mark.parametrize(
    "call",
    [
        lambda **options: CutoutSet.read("nowhere", **options),
        lambda **options: read_batches("nowhere", **options),
        lambda **options: count_cutouts("nowhere", **options),
        lambda **options: open_source("nowhere", **options),
        lambda **options: gridlens.score("nowhere", **options),
    ],
)
def test_an_unknown_option_of_reading_raises_with_the_known_ones(call):
    with pytest.raises(TypeError, match=r"fields of ReadOptions: pixel_scale, bands, .* Got pixscale instead"):
        call(pixscale=0.2)


@pytest.mark.parametrize(
    "call",
    [
        lambda **options: extract("nowhere", {}, **options),
        lambda **options: extract_batches("nowhere", {}, **options),
        lambda **options: open_source(catalog="nowhere", images={}, **options),
        lambda **options: gridlens.score(catalog="nowhere", images={}, **options),
    ],
)
def test_an_unknown_option_of_cutting_raises_with_the_known_ones(call):
    with pytest.raises(TypeError, match=r"fields of CutOptions: size, npix, .* Got bands instead"):
        call(bands="gri")


def test_the_options_are_described_in_one_place():
    names = {field.name for field in dataclasses.fields(ReadOptions)} - {"survey"}
    for function in (CutoutSet.read, read_batches, gridlens.score, open_source):
        assert not names & set(inspect.signature(function).parameters)
        assert "Fields of `" in function.__doc__
