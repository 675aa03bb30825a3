"""Tests of ids: one spelling in every format and in every join."""

import decimal
import string
import warnings

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens import CutoutSet
from gridlens._ids import InexactIdError, as_id, as_ids
from gridlens._tables import read_table, write_table
from gridlens.cutouts import read_catalog, write_npz
from gridlens.engine._truth import join_truth
from gridlens.errors import CutoutError, GridlensError
from gridlens.training._labels import read_labels

BIG = 36407084763872845  # beyond 2^53, where floats are 4 apart
FEW = settings(max_examples=25, deadline=None)

anything = st.one_of(
    st.text(st.characters(), max_size=8),
    st.binary(max_size=8),
    st.integers(-(2**70), 2**70),
    st.floats(-1e9, 1e9),
    st.decimals(-1000, 1000, places=3),
    st.none(),
)


def ids_of(letters):
    """Return a strategy for lists of distinct, non-empty ids."""
    one = st.text(letters, min_size=1, max_size=8).map(as_id).filter(bool)
    return st.lists(one, min_size=1, max_size=6, unique=True)


any_letters = ids_of(st.characters(codec="utf-8"))
plain_letters = ids_of(string.ascii_letters + string.digits + "+-_.:/ ")
words = st.lists(
    st.sampled_from(["NA", "None", "null", "nan", "0012", "12", "1e5", "True", "inf", "-99", "--", "7.0", "2MASS J1"]),
    min_size=1,
    unique=True,
)


@given(anything)
def test_as_id_is_idempotent(value):
    assert as_id(as_id(value)) == as_id(value)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1))
@FEW
def test_integers_are_exact_in_every_column(values):
    expected = ["" if value is None else str(value) for value in values]
    assert as_ids(pd.array(values, dtype="Int64")) == expected
    assert as_ids(pd.Series(pd.array(values, dtype=pd.ArrowDtype(pa.int64())))) == expected
    assert as_ids(np.ma.array([value or 0 for value in values], mask=[value is None for value in values])) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(["ab\0", "c"]), ["ab", "c"]),
        (["ab\0\0", "a "], ["ab", "a"]),
        (np.array([b"ab", b"c\0"]), ["ab", "c"]),
        (pd.Categorical(["b", None, "a"]), ["b", "", "a"]),
        ([decimal.Decimal("7.00"), decimal.Decimal(BIG), decimal.Decimal("0.50")], ["7", str(BIG), "0.5"]),
        (np.array([7.0, np.nan, 0.5]), ["7", "", "0.5"]),
        (pd.Series([pd.NaT, None, pd.NA, 7], dtype=object), ["", "", "", "7"]),
        (np.array([2**64 - 1], dtype=np.uint64), [str(2**64 - 1)]),
    ],
)
def test_values_of_many_kinds(values, expected):
    assert as_ids(values) == expected


@pytest.mark.parametrize("value", [float(BIG), np.float64(BIG), np.float32(2**24 + 2), -1e300])
def test_a_float_that_cannot_represent_its_digits_is_refused(value, tmp_path):
    with pytest.raises(InexactIdError, match=r"too large to be exact: its last digits are lost\. Store ids as"):
        as_id(value)
    ids = np.array([value])
    with pytest.raises(CutoutError, match="too large to be exact"):
        CutoutSet(np.zeros((1, 48, 48, 3)), ids=ids)
    catalog = pd.DataFrame({"id": ids, "ra": 1.0, "dec": 2.0})
    with pytest.raises(
        GridlensError, match=r"^Cannot read the catalogue in memory: its ids are floating-point numbers"
    ):
        read_catalog(catalog)
    catalog.to_parquet(tmp_path / "c.parquet")
    with pytest.raises(GridlensError, match=r"^Cannot read the catalogue .*c\.parquet: its ids are .*Store ids as"):
        read_catalog(tmp_path / "c.parquet")
    np.savez(tmp_path / "c.npz", pixels=np.zeros((1, 48, 48, 3)), ids=ids, pixel_scale=0.5)
    with pytest.raises(CutoutError, match=r"c\.npz: The id .* is a floating-point number too large to be exact"):
        CutoutSet.read(tmp_path / "c.npz")


def written_and_read(folder, name, ids):
    """Return the ids of a score table and of a catalogue after a round trip through a file."""
    table = pd.DataFrame({"rank": range(len(ids)), "id": ids, "score": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VOTable warns about non-ASCII characters
        write_table(table, folder / name)
    return read_table(folder / name)["id"].tolist(), read_catalog(folder / name)["id"].tolist()


@given(ids=any_letters | words)
@FEW
def test_the_round_trip_through_csv_and_parquet(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("ids")
    for name in ("t.csv", "t.parquet"):
        assert written_and_read(folder, name, ids) == (ids, ids)
    frame = pd.DataFrame({"ra": 1.0, "dec": 2.0, "id": ids})
    frame.to_csv(folder / "c.csv.gz", index=False)
    assert read_catalog(folder / "c.csv.gz")["id"].tolist() == ids
    frame.to_csv(folder / "c.txt", index=False, sep="\t", encoding="utf-16")
    assert read_catalog(folder / "c.txt")["id"].tolist() == ids
    frame.set_index("id").to_parquet(folder / "i.parquet")
    assert read_catalog(folder / "i.parquet")["id"].tolist() == ids
    assert read_table(folder / "i.parquet")["id"].tolist() == ids


@given(ids=plain_letters | words)
@FEW
def test_the_round_trip_through_astronomical_formats(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("ids")
    for name in ("t.fits", "t.votable"):
        assert written_and_read(folder, name, ids) == (ids, ids)
    table = Table({"id": ids, "ra": np.ones(len(ids)), "dec": np.ones(len(ids))})
    for name in ("c.ecsv", "c.fits"):
        table.write(folder / name)
        assert read_catalog(folder / name)["id"].tolist() == ids


@given(ids=any_letters | words)
@FEW
def test_the_round_trip_through_ecsv(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("ids") / "c.ecsv"
    # In the first column, astropy would take an id such as "#1" for a comment.
    Table({"ra": np.ones(len(ids)), "id": ids}).write(path)
    assert read_catalog(path)["id"].tolist() == ids


@pytest.mark.filterwarnings("ignore:The data type")  # zarr warns about the data type of strings
@given(ids=any_letters | words)
@FEW
def test_the_round_trip_through_arrays(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("ids")
    pixels = np.zeros((len(ids), 48, 48, 3), dtype=np.float32)
    write_npz(folder / "a.npz", CutoutSet(pixels, ids=ids))
    with h5py.File(folder / "b.h5", "w") as file:
        file["pixels"], file["pixel_scale"] = pixels, 0.5
        file["ids"] = np.array(ids, dtype=h5py.string_dtype())
    with h5py.File(folder / "c.h5", "w") as file:
        file["pixels"], file["pixel_scale"] = pixels, 0.5
        file["ids"] = np.array([name.encode() for name in ids], dtype="S40")
    group = zarr.open_group(folder / "d.zarr", mode="w")
    group["pixels"], group["pixel_scale"] = pixels, np.full(len(ids), 0.5)
    group["ids"] = np.array(ids, dtype="U40")
    for name in ("a.npz", "b.h5", "c.h5", "d.zarr"):
        assert CutoutSet.read(folder / name).ids.tolist() == ids, name


@given(ids=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5, unique=True))
@FEW
def test_the_round_trip_of_integers(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("ids")
    expected = [*map(str, ids), ""]
    masked = MaskedColumn([*ids, 0], mask=[*[False] * len(ids), True])
    table = Table({"id": masked, "ra": np.ones(len(ids) + 1)})
    table.write(folder / "c.fits")
    table.write(folder / "c.vot", format="votable")
    table.write(folder / "c.ecsv")
    pq.write_table(pa.table({"id": pa.array([*ids, None], pa.int64())}), folder / "c.parquet")
    for name in ("c.fits", "c.vot", "c.ecsv", "c.parquet"):
        assert read_catalog(folder / name)["id"].tolist() == expected, name
    pixels = np.zeros((len(ids), 48, 48, 3), dtype=np.float32)
    np.savez(folder / "a.npz", pixels=pixels, pixel_scale=0.5, ids=np.array(ids))
    with h5py.File(folder / "b.h5", "w") as file:
        file["pixels"], file["pixel_scale"], file["ids"] = pixels, 0.5, np.array(ids)
    for name in ("a.npz", "b.h5"):
        assert CutoutSet.read(folder / name).ids.tolist() == expected[:-1]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([BIG, None], pa.int64()), [str(BIG), ""]),
        (pa.array([2**64 - 1, None], pa.uint64()), [str(2**64 - 1), ""]),
        (pa.array(["0012", None]).dictionary_encode(), ["0012", ""]),
        (pa.array(["0012", None], pa.large_string()), ["0012", ""]),
        (pa.array([b"A1 ", None], pa.binary()), ["A1", ""]),
        (pa.array([decimal.Decimal(BIG), None], pa.decimal128(20, 2)), [str(BIG), ""]),
        (pa.array([7.0, None], pa.float64()), ["7", ""]),
    ],
)
def test_types_of_parquet(tmp_path, column, expected):
    pq.write_table(pa.table({"id": column, "ra": [1.0, 2.0]}), tmp_path / "c.parquet")
    assert read_catalog(tmp_path / "c.parquet")["id"].tolist() == expected
    assert read_table(tmp_path / "c.parquet")["id"].tolist() == expected


def test_types_of_fits(tmp_path):
    columns = [
        fits.Column("id", "K", bzero=2**63, array=np.array([2**64 - 1, 7], dtype=np.uint64)),
        fits.Column("ra", "D", unit="rad", array=[np.pi, 0.0]),
        fits.Column("z", "I", array=[30, 40]),
        fits.Column("richness", "J", null=-9, array=[-9, 40]),
        fits.Column("vdisp", "B", bzero=-128, array=np.array([100, -5], dtype=np.int8)),
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["TSCAL3"] = 0.01
    table.writeto(tmp_path / "c.fits")
    with pytest.warns(UserWarning, match=r"are implausible and are treated as unknown: 1 in 'vdisp' \(row 2 -5\.0\)"):
        frame = read_catalog(tmp_path / "c.fits")
    assert frame["id"].tolist() == [str(2**64 - 1), "7"]
    np.testing.assert_allclose(frame["ra"], [180.0, 0.0])
    np.testing.assert_allclose(frame["redshift"], [0.3, 0.4])
    np.testing.assert_array_equal(frame["richness"], [np.nan, 40.0])
    np.testing.assert_array_equal(frame["velocity_dispersion"], [100.0, np.nan])


def test_tables_of_fits_in_text(tmp_path):
    columns = [
        fits.Column("id", "A6", array=["0012", "b"], ascii=True),
        fits.Column("objid", "I20", array=[BIG, 7], ascii=True),
        fits.Column("ra", "F10.5", array=[1.5, 2.5], ascii=True),
        fits.Column("dec", "D15.7", array=[-1.5, 2.5], ascii=True),
    ]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "c.fits")
    frame = read_catalog(tmp_path / "c.fits")
    assert frame.to_numpy().tolist() == [["0012", 1.5, -1.5], ["b", 2.5, 2.5]]
    assert read_catalog(tmp_path / "c.fits", columns={"id": "objid"})["id"].tolist() == [str(BIG), "7"]


def test_ids_in_an_index():
    frame = pd.DataFrame({"ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    named = frame.set_index(pd.Index([BIG, 7], name="objid"))
    assert read_catalog(named)["id"].tolist() == [str(BIG), "7"]
    assert read_catalog(frame.set_index(pd.Index(["A", "B"])))["id"].tolist() == ["A", "B"]
    assert read_catalog(frame.assign(name=["x", "y"]).set_index(pd.Index(["A", "B"])))["id"].tolist() == ["x", "y"]
    # Row numbers that remain after a selection are not ids.
    assert "id" not in read_catalog(frame[frame["ra"] > 1])
    both = pd.DataFrame({"id": ["A"], "ra": [1.0], "dec": [2.0]}).set_index(["ra", "dec"])
    assert read_catalog(both).to_numpy().tolist() == [["A", 1.0, 2.0]]


def test_an_index_without_a_name_in_parquet(tmp_path):
    frame = pd.DataFrame({"ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    frame.set_index(pd.Index(["A", "B"])).to_parquet(tmp_path / "text.parquet")
    frame[frame["ra"] > 1].to_parquet(tmp_path / "numbers.parquet")
    assert read_catalog(tmp_path / "text.parquet")["id"].tolist() == ["A", "B"]
    assert "id" not in read_catalog(tmp_path / "numbers.parquet")
    assert read_table(tmp_path / "text.parquet").columns.tolist() == ["ra", "dec"]


@pytest.mark.parametrize("missing", [[b"", b"b"], ["", "b"], [np.nan, 7.0]])
def test_a_missing_id_in_an_array_is_replaced_by_the_name_of_the_cutout(tmp_path, missing):
    np.savez(tmp_path / "s.npz", pixels=np.zeros((2, 48, 48, 3)), pixel_scale=0.5, ids=np.array(missing))
    assert CutoutSet.read(tmp_path / "s.npz").ids.tolist() == ["s_000000", as_id(missing[1])]
    np.savez(tmp_path / "one.npz", pixels=np.zeros((48, 48, 3)), pixel_scale=0.5, ids=np.array(missing[:1]))
    assert CutoutSet.read(tmp_path / "one.npz").ids.tolist() == ["one"]


def test_catalogue_and_cutouts_are_joined_by_normalised_ids(tmp_path):
    pixels = np.zeros((2, 48, 48, 3))
    np.savez(tmp_path / "s.npz", pixels=pixels, pixel_scale=0.5, ids=np.array([BIG, BIG + 2]))
    pq.write_table(
        pa.table({"object_id": pa.array([BIG, BIG + 2, None], pa.int64()), "z": [0.3, 0.4, 0.5]}),
        tmp_path / "c.parquet",
    )
    cutouts = CutoutSet.read(tmp_path / "s.npz", catalog=tmp_path / "c.parquet")
    assert cutouts.metadata["redshift"].tolist() == [0.3, 0.4]
    np.savez(tmp_path / "s.npz", pixels=pixels, pixel_scale=0.5, ids=np.array([7.0, 8.0]))
    cutouts = CutoutSet.read(tmp_path / "s.npz", catalog=pd.DataFrame({"id": [8, 7], "z": [0.3, 0.4]}))
    assert cutouts.metadata["redshift"].tolist() == [0.4, 0.3]


def test_scores_and_truth_with_ids_that_look_like_numbers(tmp_path):
    (tmp_path / "s.csv").write_text("id,score\n0000,0.9\n0001,0.1\nNA,0.2\n,0.3\n")
    (tmp_path / "t.csv").write_text("id,label,cluster\nNA,0,001\n0000,1,01\n0001,0,\n,0,\n")
    joined = join_truth(read_table(tmp_path / "s.csv"), read_table(tmp_path / "t.csv"), groups="cluster")
    assert joined.rows.index.tolist() == ["NA", "0000", "0001"]
    assert joined.score.tolist() == [0.2, 0.9, 0.1]
    assert len(np.unique(joined.groups)) == 3
    assert "1 rows of the truth table have no id and are omitted." in joined.notes


def test_labels_with_ids_that_look_like_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("id,label,cluster\n0000,1,01\nNA,0,1\nnull,0,\n,1,\nb,0,\n")
    with pytest.warns(UserWarning, match=r"1 rows of the table of labels .*t\.csv have no id and are left out"):
        labels = read_labels(tmp_path / "t.csv")
    assert list(labels.row) == ["0000", "NA", "null", "b"]
    assert len(set(labels.group.tolist())) == 4
