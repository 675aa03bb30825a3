"""Tests that implausible values are treated as unknown in every kind of input."""

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr

from gridlens import CutoutSet
from gridlens.cutouts import CutoutFlag, extract, read_batches, read_catalog, rejection
from gridlens.engine._truth import join_truth

RA, DEC, SCALE = 150.0, 2.2, 0.263
PIXELS = np.zeros((3, 48, 48, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("column", "bad", "good"),
    [
        ("z", [-99, -1, 19.5, 1e20, np.inf], 0.3),
        ("richness", [-1, -999, 9999, 1e20], 0),
        ("seeing", [-1, 0, 99], 0.7),
        ("depth", [-99, 0, 99], 25),
        ("vdisp", [-1, 0, 9999], 900),
        ("log_mass", [-99, 0, 99], 14.5),
        ("mass [1e14 solMass]", [-1, 0, 99], 5),
        ("lx [erg/s]", [-99, 0, 1e60], 1e44),
        ("bcg_x", [-99, -1, 9999], 20),
    ],
)
def test_placeholders_are_unknown_and_counted(column, bad, good):
    frame = pd.DataFrame({"id": [str(k) for k in range(len(bad) + 1)], column: [good, *bad]})
    with pytest.warns(UserWarning) as said:
        read = read_catalog(frame)
    assert len(said) == 1
    assert f"are implausible and are treated as unknown: {len(bad)} in '{column}' (row 2 {bad[0]}" in str(
        said[0].message
    )
    values = read.iloc[:, 1]
    assert np.isfinite(values[0])
    assert values[1:].isna().all()


def test_placeholders_do_not_determine_the_unit():
    with pytest.warns(UserWarning, match="2 in 'mass'"):
        assert read_catalog(pd.DataFrame({"id": list("abc"), "mass": [-99.0, 14.5, -99.0]}))["log_mass"][1] == 14.5
    with pytest.warns(UserWarning, match="2 in 'mass'"):
        assert read_catalog(pd.DataFrame({"id": list("abc"), "mass": [-1, 1e14, -1]}))["log_mass"][1] == 14.0


def test_an_incomplete_position_is_unknown():
    frame = pd.DataFrame(
        {"id": list("ab"), "bcg_ra": [RA, -99.0], "bcg_dec": [-99.0, 2.0], "bcg_x": 5, "bcg_y": [7, -1]}
    )
    with pytest.warns(UserWarning, match=r"1 in 'bcg_y' \(row 2 -1\); 1 in 'bcg_dec' \(row 1 -99\.0\)"):
        read = read_catalog(frame)
    assert read["bcg_ra"].isna().tolist() == [True, False]
    assert read["bcg_x"].isna().tolist() == [False, True]


@pytest.fixture
def marked(tmp_path):
    """Write the same three cutouts in each format, with placeholder values in the metadata."""
    arrays = {"redshift": [0.3, -99.0, 9999.0], "ra": [10.0, 999.0, 30.0], "dec": [1.0, 2.0, 3.0]}
    arrays["pixel_scale"] = [0.5] * 3
    np.savez(tmp_path / "a.npz", pixels=PIXELS, **arrays)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["pixels"] = PIXELS
        for name, values in arrays.items():
            file[name] = values
    group = zarr.open_group(tmp_path / "c.zarr", mode="w")
    group["pixels"] = PIXELS
    for name, values in arrays.items():
        group[name] = np.array(values)
    return tmp_path


@pytest.mark.parametrize("name", ["a.npz", "b.h5", "c.zarr"])
def test_metadata_of_arrays_follow_the_same_rule(marked, name):
    with pytest.warns(UserWarning) as said:
        metadata = CutoutSet.read(marked / name).metadata
    assert len(said) == 1
    words = str(said[0].message)
    assert "2 in 'redshift' (such as -99)" in words
    assert "1 in 'ra' (such as 999)" in words
    np.testing.assert_array_equal(metadata["redshift"], [0.3, np.nan, np.nan])
    np.testing.assert_array_equal(metadata["ra"], [10.0, np.nan, 30.0])
    np.testing.assert_array_equal(metadata["dec"], [1.0, np.nan, 3.0])


def test_files_of_one_cutout_warn_once(tmp_path):
    for k in range(3):
        np.savez(tmp_path / f"{k}.npz", pixels=PIXELS[0], pixel_scale=0.5, redshift=-99.0)
    with pytest.warns(UserWarning, match="files of one cutout are implausible") as said:
        assert CutoutSet.read(tmp_path).metadata["redshift"].isna().all()
    assert len(said) == 1


@pytest.mark.parametrize("place", [(-99.0, -99.0), (999.0, 999.0), (-1.0, -1.0), (0.0, 0.0), (np.nan, -99.0)])
@pytest.mark.filterwarnings("ignore:Some values of the catalogue")
def test_a_bcg_without_a_position_is_at_the_centre(tmp_path, cutout, wcs_header, write_bands, place):
    write_bands(tmp_path, cutout, wcs_header())
    catalog = pd.DataFrame({"ra": [RA], "dec": [DEC], "bcg_ra": [place[0]], "bcg_dec": [place[1]]})
    if np.abs(place[1]) < 90:
        with pytest.warns(UserWarning, match="1 cutouts have a BCG in the catalogue that is more than a degree away"):
            [batch] = read_batches(tmp_path, catalog=catalog)
    else:
        [batch] = read_batches(tmp_path, catalog=catalog)
    assert not batch.failures
    assert batch.cutouts.bcg_xy.tolist() == [[29.5, 29.5]]
    cut = extract(catalog, {band: str(tmp_path / f"*_{band}.fits") for band in "gri"}, size=12.0, npix=48)
    assert cut.cutouts.bcg_xy.tolist() == [[23.5, 23.5]]


def test_rows_without_a_position_are_rejected(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header())
    catalog = pd.DataFrame({"id": list("ABCD"), "ra": [RA, -99, 999, np.nan], "dec": [DEC, -99, DEC, DEC]})
    cut = extract(catalog, {band: str(tmp_path / f"*_{band}.fits") for band in "gri"}, size=12.0, npix=48)
    assert cut.cutouts.ids.tolist() == ["A"]
    assert [(failure.id, failure.flags) for failure in cut.failures] == [(i, CutoutFlag.BAD_POSITION) for i in "BCD"]


def test_an_invalid_position_is_not_matched(tmp_path):
    np.savez(tmp_path / "s.npz", pixels=PIXELS[:1], pixel_scale=0.5, ra=[279.0], dec=[2.0], ids=["A"])
    catalog = pd.DataFrame({"id": ["A", "B"], "ra": [-99.0, 999.0], "dec": [-99.0, 2.0], "z": [0.3, 0.4]})
    metadata = CutoutSet.read(tmp_path / "s.npz", catalog=catalog).metadata
    assert metadata["ra"].tolist() == [279.0], "the position in the file is kept"
    assert metadata["redshift"].tolist() == [0.3]
    with pytest.warns(UserWarning, match="1 of 1 cutouts have no row"):
        assert CutoutSet.read(tmp_path / "s.npz", catalog=catalog[1:]).metadata["redshift"].isna().all()


def test_a_set_replaces_placeholders():
    with pytest.warns(UserWarning, match=r"1 in 'redshift' \(such as -99\); 1 in 'seeing' \(such as 0\)") as said:
        cutouts = CutoutSet(PIXELS, metadata={"redshift": [0.3, -99.0, 0.4], "seeing": [0.7, 0.8, 0.0]})
    assert len(said) == 1
    assert cutouts.metadata[["redshift", "seeing"]].isna().to_numpy().tolist() == [
        [False] * 2,
        [True, False],
        [False, True],
    ]


def test_tables_of_truth_follow_the_same_rule():
    scores = pd.DataFrame({"id": list("abc"), "score": [0.1, 0.2, 0.3]})
    truth = pd.DataFrame({"id": list("abc"), "label": [0, 1, 0], "richness": [40, -1, 9999], "theta_e": [-99, 12, -99]})
    joined = join_truth(scores, truth)
    assert joined.rows["richness"].isna().tolist() == [False, True, True]
    assert joined.rows["theta_e"].isna().tolist() == [True, False, True]
    assert any(
        "are implausible and are treated as unknown: 2 in 'richness' (such as -1)" in note for note in joined.notes
    )


def test_placeholder_bcg_positions_in_arrays_are_unknown(tmp_path):
    places = [[20.0, 21.0], [-99.0, -99.0], [5.0, 9999.0]]
    np.savez(tmp_path / "s.npz", pixels=PIXELS, pixel_scale=0.5, bcg_xy=places)
    with pytest.warns(UserWarning, match=r"1 in 'bcg_x' \(such as -99\); 2 in 'bcg_y' \(such as -99\)"):
        cutouts = CutoutSet.read(tmp_path / "s.npz")
    assert cutouts.bcg_xy.tolist() == [[20.0, 21.0], [23.5, 23.5], [23.5, 23.5]]


def test_a_bcg_outside_the_cutout_is_rejected(tmp_path):
    np.savez(tmp_path / "s.npz", pixels=PIXELS[:1], pixel_scale=0.5, bcg_xy=[[-3.2, 20.0]])
    cutouts = CutoutSet.read(tmp_path / "s.npz")
    assert cutouts.bcg_xy.tolist() == [[-3.2, 20.0]]
    assert rejection(cutouts.pixels[0], cutouts.bcg_xy[0], 0.5).flag == CutoutFlag.BCG_OUTSIDE
