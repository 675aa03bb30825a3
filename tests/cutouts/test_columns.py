"""Tests of the names, units and invalid values of catalogue columns."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from gridlens.cutouts import CutoutSet, read_catalog
from gridlens.cutouts.catalogs._join import duplicate_rows
from gridlens.errors import GridlensError


def of_csv(folder, text):
    (folder / "c.csv").write_text(text)
    return read_catalog(folder / "c.csv")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # redMaPPer
        ("MEM_MATCH_ID,RA,DEC,LAMBDA,Z_LAMBDA", ["id", "ra", "dec", "redshift", "richness"]),
        ("MEM_MATCH_ID,RA,DEC,LAMBDA_CHISQ,Z_LAMBDA", ["id", "ra", "dec", "redshift", "richness"]),
        # lenscat
        ("name,RA [deg],DEC [deg],zlens,type", ["id", "ra", "dec", "redshift"]),
        # VizieR
        ("_RAJ2000,_DEJ2000,Name", ["id", "ra", "dec"]),
        # ACT
        ("name,RADeg,decDeg,redshift,M500c [1e14 solMass]", ["id", "ra", "dec", "redshift", "log_mass"]),
        # WHL
        ("RAJ2000,DEJ2000,zph,RL*,N200", ["ra", "dec", "redshift", "richness"]),
        # CAMIRA
        ("ra,dec,z_cl,N_mem", ["ra", "dec", "redshift", "richness"]),
        ("Ra (deg),Dec (deg),Sigma_v (km/s)", ["ra", "dec", "velocity_dispersion"]),
        ("RIGHT ASCENSION,Declination,LX [1e44 erg/s]", ["ra", "dec", "log_xray_luminosity"]),
    ],
)
def test_names_of_real_catalogues(tmp_path, header, expected):
    frame = of_csv(tmp_path, header + "\n" + ",".join("7" for _ in header.split(",")) + "\n")
    assert frame.columns.tolist() == expected


def test_a_given_column_overrides_the_known_names(tmp_path):
    (tmp_path / "c.csv").write_text("id,richness,LAMBDA_CHISQ,z,zz\na,1,2,3,4\n")
    frame = read_catalog(tmp_path / "c.csv", columns={"richness": "lambda_chisq", "redshift": "zz"})
    assert frame.iloc[0].tolist() == ["a", 4.0, 2.0]
    with pytest.raises(GridlensError, match=r"must name columns among id, ra, .*Got 'mass' instead"):
        read_catalog(tmp_path / "c.csv", columns={"mass": "z"})
    with pytest.raises(GridlensError, match=r"no column 'rich', which was given for richness\. It has id, richness,"):
        read_catalog(tmp_path / "c.csv", columns={"richness": "rich"})


def test_a_given_column_has_no_other_use(tmp_path):
    (tmp_path / "c.csv").write_text("name,id\nA,7\n")
    assert read_catalog(tmp_path / "c.csv", columns={"redshift": "id"}).columns.tolist() == ["id", "redshift"]


@pytest.mark.parametrize("name", ["c.ecsv", "c.fits", "c.vot"])
def test_units_of_files(tmp_path, name):
    table = Table(
        {
            # FITS has no unit for hour angles
            "ra": [9000.0] * units.arcmin if name == "c.fits" else [10.0] * units.hourangle,
            "dec": [30.0] * units.arcmin,
            "seeing": [700.0] * units.mas,
            "sigma_v": [9e5] * (units.m / units.s),
            "Lx": [2.0] * units.Unit("1e44 erg / s"),
            "M500": [5e14] * units.solMass,
            "bcg_ra": [np.pi] * units.rad,
            "bcg_dec": [3600.0] * units.arcsec,
        }
    )
    table.write(tmp_path / name, format="votable" if name == "c.vot" else None)
    row = read_catalog(tmp_path / name).iloc[0]
    expected = {
        "ra": 150.0,
        "dec": 0.5,
        "bcg_ra": 180.0,
        "bcg_dec": 1.0,
        "seeing": 0.7,
        "log_xray_luminosity": 44 + np.log10(2),
        "velocity_dispersion": 900.0,
        "log_mass": 14 + np.log10(5),
    }
    assert row.to_dict() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("column", "value", "name", "expected"),
    [
        ("RA [hourangle]", "10", "ra", 150.0),
        ("RA [hours]", "10", "ra", 150.0),
        ("RA (Degrees)", "10", "ra", 10.0),
        ("RA [h:m:s]", "12:09:23.7", "ra", 182.34875),
        ("RA [deg]", "182:20:55.5", "ra", 182.34875),
        ("RA [deg]", "12h09m23.7s", "ra", 182.34875),
        ("DEC [d:m:s]", "-26:40:54", "dec", -26.68166667),
        ("seeing [arcseconds]", "0.7", "seeing", 0.7),
        ("depth [mag(AB)]", "25", "depth", 25.0),
        ("depth (5 sigma)", "25", "depth", 25.0),
        ("z (spec)", "0.3", "redshift", 0.3),
        ("seeing [mas]", "700", "seeing", 0.7),
        ("mass [1e14 solMass]", "5", "log_mass", 14.69897),
        ("mass [log(solMass)]", "14.7", "log_mass", 14.7),
        ("log_mass [1e14 solMass]", "0.7", "log_mass", 14.7),
        ("m200 [dex(kg)]", str(14.7 + np.log10(1.988409870698051e30)), "log_mass", 14.7),
        ("mass", "5e14", "log_mass", 14.69897),
        ("mass", "14.7", "log_mass", 14.7),
        ("lx", "3e44", "log_xray_luminosity", 44.47712),
        ("log_lx [log10 erg/s]", "44.5", "log_xray_luminosity", 44.5),
        ("mass [solMass]", "-1", "log_mass", np.nan),
        ("vdisp [km/s]", "900", "velocity_dispersion", 900.0),
        ("richness [-]", "40", "richness", 40.0),
    ],
)
def test_units_in_a_header(tmp_path, column, value, name, expected):
    assert of_csv(tmp_path, f"id,{column}\na,{value}\n")[name][0] == pytest.approx(expected, nan_ok=True, abs=1e-5)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("seeing [kg]", "1", "The column 'seeing [kg]' .* in 'kg', which cannot be converted to arcsec"),
        ("mass [furlongs]", "1", "cannot be converted to log10 of solMass"),
        ("mass", "5.2", "no unit, and values such as 5.2 are neither solMass nor their logarithm"),
        ("depth [nJy]", "1", "in 'nJy', which cannot be converted to mag"),
        ("z [km/s]", "1", "in 'km/s', which cannot be converted to a plain number"),
        ("ra [log deg]", "1", "cannot be converted to deg"),
    ],
)
def test_invalid_units_are_refused(tmp_path, column, value, words):
    words = words.replace("[", r"\[").replace("]", r"\]")
    (tmp_path / "c.csv").write_text(f"id,{column}\na,{value}\n")
    if column.startswith("ra"):
        with pytest.raises(GridlensError, match=words):
            read_catalog(tmp_path / "c.csv")
        return
    with pytest.warns(UserWarning, match=words + ".* It is omitted"):
        assert read_catalog(tmp_path / "c.csv").columns.tolist() == ["id"]
    name = {"seeing": "seeing", "mass": "log_mass", "depth": "depth", "z": "redshift"}[column.split()[0]]
    with pytest.raises(GridlensError, match=words):
        read_catalog(tmp_path / "c.csv", columns={name: column})


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("12:09:23.7", "-26:40:54"),
        ("12h09m23.7s", "-26d40m54s"),
        ("12 09 23.7", "-26 40 54.0"),
        ("182d20m55.5s", "-26°40'54\""),
        ("182.34875", "-26.68166667"),
    ],
)
def test_sexagesimal_positions(tmp_path, ra, dec):
    (tmp_path / "c.csv").write_text(
        "x|ra|dec\n".replace("|", ",") + ",".join(["1", f'"{ra}"', '"' + dec.replace('"', '""') + '"']) + "\n"
    )
    frame = read_catalog(tmp_path / "c.csv")
    assert frame["ra"][0] == pytest.approx(182.34875)
    assert frame["dec"][0] == pytest.approx(-26.68166667)
    small = pd.DataFrame({"ra": ["00:00:01"], "dec": ["-00:00:36"]})
    assert read_catalog(small)["dec"][0] == pytest.approx(-0.01)


def test_invalid_positions_give_one_warning(tmp_path):
    n = 100_000
    lines = [f"c{k},{k * 1e-3},{-k * 1e-4},{k % 90}" for k in range(n)]
    for k in range(10):
        lines[7000 * k + 5] = f"c{7000 * k + 5},what,12:61:00,1"
    lines[3] = "c3,,nan,"
    (tmp_path / "c.csv").write_text("id,ra,dec,richness\n" + "\n".join(lines))
    with pytest.warns(UserWarning) as caught:
        frame = read_catalog(tmp_path / "c.csv")
    assert len(caught) == 1
    said = str(caught[0].message)
    assert "10 in 'ra' (row 6 'what', row 7006 'what', row 14006 'what', ...)" in said
    assert "10 in 'dec' (row 6 '12:61:00'" in said
    assert len(frame) == n
    assert frame["ra"].isna().sum() == 11
    assert frame["richness"].isna().sum() == 1
    assert frame["ra"][99_999] == pytest.approx(99.999)


def test_invalid_hours_and_degrees_are_unknown(tmp_path):
    rows = "a,24:00:01,95:00:00\nb,12:00:00,-90:00:00\n"
    with pytest.warns(UserWarning, match=r"1 in 'ra' .*'24:00:01'\); 1 in 'dec' .*'95:00:00'\)"):
        frame = of_csv(tmp_path, "id,ra,dec\n" + rows)
    np.testing.assert_array_equal(frame[["ra", "dec"]], [[np.nan, np.nan], [180.0, -90.0]])


@pytest.mark.filterwarnings("ignore:.*W50")
def test_the_units_of_vizier(tmp_path):
    table = Table({"RAJ2000": ["12 09 23.7"], "DEJ2000": ["-26 40 54"]})
    table["RAJ2000"].unit, table["DEJ2000"].unit = (
        units.Unit(f'"{unit}"', parse_strict="silent") for unit in ("h:m:s", "d:m:s")
    )
    table.write(tmp_path / "c.vot", format="votable")
    row = read_catalog(tmp_path / "c.vot").iloc[0]
    assert row.to_dict() == pytest.approx({"ra": 182.34875, "dec": -26.68166667})


@pytest.mark.parametrize("name", ["c.csv", "c.csv.gz"])
def test_lines_that_are_too_long_are_skipped(tmp_path, name):
    text = "# of 2026\nid,ra,dec\nA,1,2\nB,3,4,what,else\n# a remark\nC #5,5,6\n"
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.warns(UserWarning, match=r"1 lines with more values than columns are left out \(line 4\)") as said:
        frame = read_catalog(tmp_path / name)
    assert len(said) == 1
    assert frame.to_numpy().tolist() == [["A", 1.0, 2.0], ["C #5", 5.0, 6.0]]


def test_a_trailing_comma_does_not_shift_the_columns(tmp_path):
    assert of_csv(tmp_path, "id,ra,dec\nA,1,2,\nB,3,4,\n").to_numpy().tolist() == [["A", 1.0, 2.0], ["B", 3.0, 4.0]]


def test_a_name_in_another_encoding_is_escaped(tmp_path):
    (tmp_path / "c.csv").write_bytes("id,ra,dec\nMöbius,1,2\nB,3,4\n".encode("latin-1"))
    frame = read_catalog(tmp_path / "c.csv")
    assert frame["id"].tolist() == ["M\\xf6bius", "B"], "escaped like a file name"
    assert frame["ra"].tolist() == [1.0, 3.0]


def test_ids_that_are_numbers():
    assert read_catalog(pd.DataFrame({"id": [12, 7]}))["id"].tolist() == ["12", "7"]
    assert read_catalog(pd.DataFrame({"id": [12.0, np.nan]}))["id"].tolist() == ["12", ""]
    assert read_catalog(pd.DataFrame({"id": [b" a", None, 3.5]}))["id"].tolist() == ["a", "", "3.5"]


def test_the_first_of_several_equally_named_columns_is_used():
    frame = pd.DataFrame([["a", 1.0, 2.0, 3.0]], columns=["id", "ra", "ra", "dec"])
    assert read_catalog(frame).to_numpy().tolist() == [["a", 1.0, 3.0]]


def test_masked_values_are_unknown(tmp_path):
    table = Table({"id": ["a", "b"], "z": MaskedColumn([0.3, 9.0], mask=[False, True])})
    table["richness"] = MaskedColumn([10, 20], mask=[True, False])
    for name in ("c.ecsv", "c.fits"):
        table.write(tmp_path / name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = read_catalog(tmp_path / name)
        np.testing.assert_array_equal(frame["redshift"], [0.3, np.nan])
        np.testing.assert_array_equal(frame["richness"], [np.nan, 20.0])


def test_a_column_of_positions(tmp_path):
    table = Table({"name": ["a"], "place": SkyCoord([187.0], [12.0], unit="deg").galactic})
    table.write(tmp_path / "c.ecsv")
    frame = read_catalog(tmp_path / "c.ecsv")
    assert frame["ra"][0] == pytest.approx(187.0)
    assert frame["dec"][0] == pytest.approx(12.0)


def test_array_columns_are_ignored(tmp_path):
    Table({"id": ["a"], "z": [0.3], "pz": [np.ones(5)]}).write(tmp_path / "c.fits")
    assert read_catalog(tmp_path / "c.fits").columns.tolist() == ["id", "redshift"]


def test_duplicates():
    close = 1.9 / 3600
    catalog = pd.DataFrame(
        {
            "id": ["a", "b", "a", "", "", "c", "d", "e", "f"],
            "ra": [10.0, 50.0, 90.0, 359.9999, 0.0001, np.nan, np.nan, 120.0, 240.0],
            "dec": [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 89.9999, 89.9999],
        }
    )
    assert duplicate_rows(catalog).tolist() == [False, False, True, False, True, False, False, False, True]
    # The third row is near only the second row, which is itself a duplicate.
    chain = pd.DataFrame({"ra": [10.0, 10.0, 10.0], "dec": [0.0, close, 2 * close]})
    assert duplicate_rows(chain).tolist() == [False, True, False]
    assert duplicate_rows(chain, radius=4.0).tolist() == [False, True, True]
    assert duplicate_rows(chain[["ra"]]).tolist() == [False] * 3
    assert duplicate_rows(catalog[:0]).tolist() == []
    unread = pd.DataFrame({"id": [None, None, "a", "a", np.nan]})
    assert duplicate_rows(unread).tolist() == [False, False, False, True, False]


def test_duplicates_match_a_brute_force_search(rng):
    n = 400
    catalog = pd.DataFrame({"ra": 10.0 + rng.uniform(0, 30, n) / 3600, "dec": rng.uniform(0, 30, n) / 3600})
    catalog.iloc[50::7] = catalog.iloc[3:4].to_numpy()
    expected: list[bool] = []
    for row in range(n):
        near = np.hypot(*(catalog.iloc[:row] - catalog.iloc[row]).to_numpy().T * 3600) < 2.0
        expected.append(bool((near & ~np.array(expected, dtype=bool)).any()))
    assert 0 < sum(expected) < n
    assert duplicate_rows(catalog).tolist() == expected


def test_many_rows_at_one_placeholder_are_fast(rng):
    # There are 5e9 pairs of these rows, too many to compare.
    catalog = pd.DataFrame({"ra": np.zeros(100_000), "dec": np.zeros(100_000)})
    assert duplicate_rows(catalog).sum() == 99_999
    catalog["ra"] = rng.uniform(0, 1e-5, len(catalog))
    assert duplicate_rows(catalog).sum() == 99_999


def test_every_name_of_the_metadata_is_read(tmp_path, rng):
    values = dict(
        zip(["seeing", "depth", "redshift", "richness", "log_xray_luminosity"], [0.8, 25.0, 0.3, 40, 44.2], strict=True)
    )
    values |= {"velocity_dispersion": 900.0, "log_mass": 14.5, "ra": 10.0, "dec": -3.0}
    frame = read_catalog(pd.DataFrame({"id": ["0"], **{name.upper(): [value] for name, value in values.items()}}))
    cutouts = CutoutSet(rng.normal(size=(1, 48, 48, 3)), metadata=frame.drop(columns="id"))
    assert cutouts.metadata.iloc[0].to_dict() == pytest.approx(values)
