import warnings

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.table import Table

from gridlens import CutoutSet
from gridlens.cutouts import read_batches, read_catalog, write_npz
from gridlens.errors import GridlensError

RA, DEC, SCALE = 150.0, 2.2, 0.263


@pytest.fixture
def images(tmp_path, cutout, wcs_header, write_bands):
    """Write FITS files of three cutouts, 0.01 deg apart in declination; B is rotated by 30 degrees."""
    for k, name in enumerate("ABC"):
        header = wcs_header(angle=30 if name == "B" else 0)
        header["CRVAL2"] = DEC + 0.01 * k
        write_bands(tmp_path, cutout, header, name=name)
    return tmp_path


@pytest.fixture
def table():
    return pd.DataFrame(
        {"id": ["0012", "x"], "ra": [10.5, np.nan], "dec": [-3.0, 4.0], "redshift": [0.3, np.nan], "comment": ["", "y"]}
    )


@pytest.mark.parametrize("name", ["c.csv", "c.csv.gz", "c.ecsv", "c.fits", "c.xml", "c.vot", "c.parquet"])
def test_formats(tmp_path, table, name):
    path = tmp_path / name
    if ".csv" in name:
        table.to_csv(path, index=False)
    elif name == "c.parquet":
        table.to_parquet(path)
    else:
        Table.from_pandas(table).write(path, format="votable" if name[-3:] in ("xml", "vot") else None)
    frame = read_catalog(path)
    assert frame.columns.tolist() == ["id", "ra", "dec", "redshift"]
    assert frame["id"].tolist() == ["0012", "x"]
    assert frame.dtypes[1:].eq(np.float64).all()
    np.testing.assert_array_equal(frame["ra"], [10.5, np.nan])
    np.testing.assert_array_equal(frame["redshift"], [0.3, np.nan])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Name,RA,DEC", ["id", "ra", "dec"]),
        ("cluster_id,Z,LAMBDA", ["id", "redshift", "richness"]),
        ("RAJ2000,DEJ2000,z", ["ra", "dec", "redshift"]),
        ("name,RA [deg],DEC [deg]", ["id", "ra", "dec"]),
        ("ID,name,bcg_x,bcg_y", ["id", "bcg_x", "bcg_y"]),
        ("id,redshift,z", ["id", "redshift"]),
    ],
)
def test_aliases(tmp_path, header, expected):
    (tmp_path / "c.csv").write_text(header + "\n" + ",".join("7" for _ in header.split(",")))
    assert read_catalog(tmp_path / "c.csv").columns.tolist() == expected


def test_angular_units_are_converted(tmp_path):
    table = Table({"id": [1], "ra": [10.0] * units.hourangle, "dec": [30.0] * units.arcmin})
    table.write(tmp_path / "c.ecsv")
    frame = read_catalog(tmp_path / "c.ecsv")
    assert frame["id"].tolist() == ["1"]
    assert frame["ra"][0] == pytest.approx(150)
    assert frame["dec"][0] == pytest.approx(0.5)


def test_missing_columns_are_reported_with_the_existing_ones(tmp_path):
    (tmp_path / "c.csv").write_text("label,ra,redshift\nA,1,0.3\n")
    with pytest.raises(GridlensError, match=r"column 'id', or the columns 'ra' and 'dec'.*label, ra, redshift"):
        read_catalog(tmp_path / "c.csv")
    Table({"objet": ["a"], "flux": [1.0]}).write(tmp_path / "c.fits")
    with pytest.raises(GridlensError, match="Got objet, flux instead"):
        read_catalog(tmp_path / "c.fits")


def test_text_in_a_column_of_numbers_is_named(tmp_path):
    (tmp_path / "c.csv").write_text("id,ra,dec\nA,Aries,-3\n")
    with pytest.raises(GridlensError, match=r"The column 'ra' .* must be numbers in degrees\. Got 'Aries' instead"):
        read_catalog(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("name", "content"), [("c.csv", ""), ("c.fits", "SIMPLE"), ("c.xyz", "what"), ("c.ecsv", "a,b")]
)
def test_a_damaged_catalogue_has_a_clear_message(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(
        GridlensError, match=rf"Cannot read the catalogue .*{name}: .*CSV, FITS, ECSV, VOTable or Parquet file\.$"
    ):
        read_catalog(tmp_path / name)


def test_a_missing_catalogue_is_refused(tmp_path):
    with pytest.raises(GridlensError, match=r"There is no catalogue .*none\.csv"):
        read_catalog(tmp_path / "none.csv")


def test_join_by_id(images):
    catalog = pd.DataFrame({"name": [" C", "B", "A "], "z": [0.3, np.nan, 0.1], "log_mass": [14.3, 14.2, 14.1]})
    cutouts = CutoutSet.read(images, catalog=catalog)
    np.testing.assert_array_equal(cutouts.metadata["redshift"], [0.1, np.nan, 0.3])
    np.testing.assert_array_equal(cutouts.metadata["log_mass"], [14.1, 14.2, 14.3])
    assert cutouts.metadata["ra"].to_numpy() == pytest.approx(RA), "the position of the WCS is kept"


def test_id_takes_precedence_over_position(images):
    catalog = pd.DataFrame(
        {"id": ["B", "A", "C"], "ra": RA, "dec": DEC + np.array([0, 0.01, 0.02]), "z": [0.1, 0.2, 0.3]}
    )
    metadata = CutoutSet.read(images, catalog=catalog).metadata
    assert metadata["redshift"].tolist() == [0.2, 0.1, 0.3]
    np.testing.assert_allclose(metadata["dec"], [DEC + 0.01, DEC, DEC + 0.02])


def test_join_by_position_takes_the_nearest_within_2_arcsec(images):
    catalog = pd.DataFrame(
        {
            "ra": RA + np.array([0, 0, 0, 1.9, 180 * 3600]) / 3600 / np.cos(np.radians(DEC)),
            "dec": DEC + np.array([1.5, -1, 36 + 2.2, 72, 72]) / 3600,
            "richness": [1, 2, 3, 4, 5],
        }
    )
    with pytest.warns(UserWarning) as caught:
        cutouts = CutoutSet.read(images, catalog=catalog)
    said = [str(warning.message) for warning in caught]
    assert len(said) == 2
    assert said[0].startswith("1 cutouts have several rows within 2 arcsec in the catalogue, such as 'A'")
    assert said[1].startswith("1 of 3 cutouts have no row in the catalogue")
    assert "exchanged" not in said[1]
    np.testing.assert_array_equal(cutouts.metadata["richness"], [2, np.nan, 4])


def test_position_across_right_ascension_zero(tmp_path, cutout, wcs_header, write_bands):
    header = wcs_header()
    header["CRVAL1"] = 359.9999
    write_bands(tmp_path, cutout, header)
    catalog = pd.DataFrame({"ra": [0.0001], "dec": [DEC], "redshift": [0.4]})
    assert CutoutSet.read(tmp_path, catalog=catalog).metadata["redshift"].tolist() == [0.4]


def test_bcg_in_pixels_off_the_centre(images):
    catalog = pd.DataFrame({"id": list("ABC"), "bcg_x": [20.25, np.nan, 25], "bcg_y": [33.0, 31, np.nan]})
    cutouts = CutoutSet.read(images, catalog=catalog)
    assert cutouts.bcg_xy.tolist() == [[20.25, 33.0], [29.5, 29.5], [29.5, 29.5]]


def test_bcg_in_degrees_goes_through_the_wcs(images):
    # 8 px north of the centre
    north = 8 * SCALE / 3600
    catalog = pd.DataFrame({"id": list("ABC"), "bcg_ra": RA, "bcg_dec": [DEC + north, DEC + 0.01 + north, np.nan]})
    bcg = CutoutSet.read(images, catalog=catalog).bcg_xy
    np.testing.assert_allclose(bcg[0], [29.5, 37.5], atol=1e-3)
    # B is rotated by 30 degrees: CD2_1 = sin and CD2_2 = cos are the direction of increasing declination.
    np.testing.assert_allclose(
        bcg[1], [29.5 + 8 * np.sin(np.radians(30)), 29.5 + 8 * np.cos(np.radians(30))], atol=1e-3
    )
    np.testing.assert_array_equal(bcg[2], [29.5, 29.5])


def test_bcg_in_pixels_overrides_degrees_and_the_cluster_position_is_not_used(images):
    catalog = pd.DataFrame(
        {"id": ["A"], "ra": RA, "dec": DEC + 1e-3, "bcg_ra": RA, "bcg_dec": DEC, "bcg_x": 11, "bcg_y": 12}
    )
    assert CutoutSet.read(images.glob("A_*"), catalog=catalog).bcg_xy.tolist() == [[11, 12]]
    plain = catalog[["id", "ra", "dec"]]
    assert CutoutSet.read(images.glob("A_*"), catalog=plain).bcg_xy.tolist() == [[29.5, 29.5]]


def test_bcg_in_degrees_without_a_wcs_warns(tmp_path, cutout):
    np.save(tmp_path / "A.npy", cutout)
    catalog = pd.DataFrame({"id": ["A"], "bcg_ra": [RA], "bcg_dec": [DEC]})
    with pytest.warns(UserWarning, match="1 cutouts have no WCS, so bcg_ra and bcg_dec"):
        CutoutSet.read(tmp_path, catalog=catalog, pixel_scale=0.3, bands="gri")


def test_shards_are_joined_by_row_and_keep_known_metadata(tmp_path, rng):
    cutouts = CutoutSet(
        rng.normal(size=(4, 48, 48, 3)),
        ids=list("wxyz"),
        metadata={"ra": [10, 20, 30, np.nan], "dec": [0, 0, 0, np.nan], "redshift": [0.1, 0.2, 0.3, 0.4]},
    )
    write_npz(tmp_path / "shard.npz", cutouts)
    catalog = pd.DataFrame(
        {"id": ["z", "", "w"], "ra": [99, 20.0005, np.nan], "dec": [9, 0, 0], "z": [0.9, 0.8, np.nan]}
    )
    with pytest.warns(UserWarning, match="1 of 4 cutouts have no row"):
        metadata = CutoutSet.read(tmp_path, catalog=catalog).metadata
    np.testing.assert_array_equal(metadata["redshift"], [0.1, 0.8, 0.3, 0.9])
    np.testing.assert_array_equal(metadata["ra"], [10, 20.0005, 30, 99])


def test_repeated_ids_warn_only_if_they_are_used(images):
    catalog = pd.DataFrame({"id": ["A", "A", "B", "C", "D", "D"], "z": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    with pytest.warns(UserWarning, match="1 cutouts have several rows of their id in the catalogue, such as 'A'"):
        cutouts = CutoutSet.read(images, catalog=catalog)
    assert cutouts.metadata["redshift"].tolist() == [0.1, 0.3, 0.4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CutoutSet.read(images, catalog=catalog.drop(index=1))


def test_batches_are_joined_like_a_set(images):
    catalog = pd.DataFrame({"id": list("CBA"), "z": [0.3, 0.2, 0.1], "bcg_x": 10, "bcg_y": 11})
    catalog.to_csv(images / "c.csv", index=False)
    batches = list(read_batches(images, catalog=images / "c.csv", batch_size=2))
    whole = CutoutSet.concatenate(batch.cutouts for batch in batches)
    assert whole.metadata["redshift"].tolist() == [0.1, 0.2, 0.3]
    assert whole.bcg_xy.tolist() == [[10, 11]] * 3


def test_exchanged_coordinates_are_reported_if_nothing_matches(tmp_path, rng):
    known = {"ra": [30.0, 40.0], "dec": [10.0, -20.0]}
    write_npz(tmp_path / "shard.npz", CutoutSet(rng.normal(size=(2, 48, 48, 3)), metadata=known))
    swapped = pd.DataFrame({"ra": known["dec"], "dec": known["ra"], "z": [0.1, 0.2]})
    with pytest.warns(
        UserWarning, match=r"2 of 2 cutouts have no row .* exchanged, 2 would have one: exchange the columns"
    ):
        CutoutSet.read(tmp_path, catalog=swapped)


def test_cutouts_that_share_a_row_warn(tmp_path, rng):
    same = CutoutSet(rng.normal(size=(3, 48, 48, 3)), ids=["a", "a", "b"])
    write_npz(tmp_path / "shard.npz", same)
    with pytest.warns(UserWarning, match="2 cutouts share a row of the catalogue"):
        CutoutSet.read(tmp_path, catalog=pd.DataFrame({"id": ["a", "b"], "z": [0.1, 0.2]}))


def test_a_catalogue_without_rows_joins_nothing(images):
    empty = pd.DataFrame({"id": [], "ra": [], "dec": [], "z": [], "bcg_x": [], "bcg_y": []})
    with pytest.warns(UserWarning, match="3 of 3 cutouts have no row in the catalogue"):
        cutouts = CutoutSet.read(images, catalog=empty)
    assert cutouts.metadata["redshift"].isna().all()
    assert cutouts.bcg_xy.tolist() == [[29.5, 29.5]] * 3
