"""Tests of damaged and hostile tables: each is read or refused with one message, without a download or much memory."""

import gzip
import os
import random
import struct
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table

from gridlens import _table_files
from gridlens._tables import read_table
from gridlens.cutouts import read_catalog
from gridlens.errors import GridlensError

MUTANTS = 50  # of each kind
HEAD = '<?xml version="1.0"?>{}<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE{}>'
FIELDS = (
    '<FIELD name="id" datatype="char" arraysize="*"/><FIELD name="ra" datatype="double" unit="deg"/>'
    '<FIELD name="dec" datatype="double" unit="deg"/>'
)
ROW = "<DATA><TABLEDATA><TR><TD>A</TD><TD>1</TD><TD>2</TD></TR></TABLEDATA></DATA>"
TAIL = "</TABLE></RESOURCE></VOTABLE>"
ECSV = """# %ECSV 1.0
# ---
# datatype:
# - {name: id, datatype: string}
# - {name: ra, datatype: float64}
# - {name: dec, datatype: float64}
META
id ra dec
A 1 2
"""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Return an intact file of each kind, as bytes."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"c{k:03d}" for k in range(12)], "objid": 36407084763872845 + np.arange(12)})
    frame["ra"], frame["dec"], frame["z"] = rng.uniform(0, 360, 12), rng.uniform(-90, 90, 12), rng.uniform(0, 1, 12)
    table = Table.from_pandas(frame)
    table["richness"] = MaskedColumn(np.arange(12), mask=np.arange(12) % 3 == 0)
    frame.to_csv(folder / "csv", index=False)
    frame.to_parquet(folder / "parquet")
    table.write(folder / "ecsv", format="ascii.ecsv")
    table.write(folder / "fits", format="fits")
    table.write(folder / "votable", format="votable")
    table.write(folder / "binary", format="votable", tabledata_format="binary2")
    table.write(folder / "ipac", format="ascii.ipac")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    text = whole["csv"].decode()
    return whole | {
        "gzip": gzip.compress(whole["csv"]),
        "utf16": text.encode("utf-16"),
        "vizier": (
            "#x\n" + text.replace(",", "\t").replace("\n", "\n\t\tdeg\tdeg\t\n--\t--\t--\t--\t--\n", 1)
        ).encode(),
        "blanks": ("# " + text.replace(",", " ")).encode(),
    }


def mutated(data, chance):
    """Return the bytes with one of eight kinds of damage."""
    data, n = bytearray(data), len(data)
    place = chance.randrange(n)
    match chance.randrange(8):
        case 0:
            return bytes(data[:place])
        case 1:
            for _ in range(chance.choice((1, 3, 30))):
                data[chance.randrange(n)] = chance.randrange(256)
        case 2:
            data[place] ^= 1 << chance.randrange(8)
        case 3:
            del data[place : place + chance.randrange(1, 300)]
        case 4:
            data[place:place] = data[chance.randrange(n) :][: chance.randrange(1, 300)]
        case 5:
            data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40)))
        case 6:
            digits = [k for k in range(n) if 48 <= data[k] <= 57]
            place = chance.choice(digits)
            data[place:place] = chance.choice((b"9" * 400, b"-", b"1e400", b"00000", b"999999999999"))
        case _:
            data[place : place + 64] = bytes(64)
    return bytes(data)


KINDS = ["csv", "parquet", "ecsv", "fits", "votable", "binary", "ipac", "gzip", "utf16", "vizier", "blanks"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_give_a_table_or_a_clear_message(tmp_path, originals, kind):
    suffix = {"parquet": ".parquet", "fits": ".fits", "votable": ".votable", "binary": ".votable"}.get(kind, ".csv")
    path = tmp_path / f"m{suffix}"
    assert originals.keys() == set(KINDS)
    for k in range(MUTANTS):
        path.write_bytes(mutated(originals[kind], random.Random(f"{kind} {k}")))
        for read in (read_catalog, read_table):
            try:
                assert isinstance(read(path), pd.DataFrame)
            except GridlensError as exc:
                assert "\n" not in str(exc)


def refused(path, content, words):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GridlensError, match=words):
        read_catalog(path)


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/rows", "ftp://127.0.0.1/rows", "file:///etc/hostname", "rows"])
@pytest.mark.parametrize("kind", ["BINARY", "BINARY2", "FITS"])
def test_external_rows_are_not_downloaded(tmp_path, monkeypatch, place, kind):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("a download was attempted"))
    text = HEAD.format("", "") + FIELDS + f'<DATA><{kind}><STREAM href="{place}"/></{kind}></DATA>' + TAIL
    words = "its rows are not in the file but at .* which is not downloaded"
    refused(tmp_path / "c.vot", text, words)
    refused(tmp_path / "c.vot", text.replace("<STREAM", "<v:STREAM"), words)
    refused(tmp_path / "c.vot", text.replace("1.0", '1.0" encoding="utf-16').encode("utf-16"), words)
    refused(tmp_path / "c.csv", gzip.compress(text.encode()), words)


@pytest.mark.parametrize(
    "entities",
    [
        '<!DOCTYPE V [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE V [<!ENTITY a "aaaaaaaaaa"><!ENTITY x "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE V [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>',
    ],
)
def test_entities_are_refused(tmp_path, entities):
    text = HEAD.format(entities, "") + FIELDS + ROW.replace("A", "&x;", 1).replace("D&x;TA", "DATA") + TAIL
    refused(tmp_path / "c.vot", text.replace("<D&x;", "<DA"), "it declares entities")


def test_a_plain_document_type_is_read(tmp_path):
    kind = '<!DOCTYPE VOTABLE SYSTEM "http://127.0.0.1:9/VOTable.dtd">'
    (tmp_path / "c.vot").write_text(HEAD.format(kind, "") + FIELDS + ROW + TAIL)
    assert read_catalog(tmp_path / "c.vot").to_numpy().tolist() == [["A", 1.0, 2.0]]


def test_declared_sizes_of_votables_are_checked(tmp_path):
    words = "it declares more rows or letters than fit into its .* bytes"
    refused(tmp_path / "c.vot", HEAD.format("", ' nrows="1000000000000"') + FIELDS + ROW + TAIL, words)
    large = FIELDS.replace('arraysize="*"', 'arraysize="4000000000"')
    refused(tmp_path / "c.vot", HEAD.format("", "") + large + ROW + TAIL, words)


def test_the_error_message_of_a_service_is_reported(tmp_path):
    text = HEAD.format("", "").replace("<TABLE>", '<INFO name="QUERY_STATUS" value="ERROR">No table "x"</INFO><TABLE>')
    refused(tmp_path / "c.vot", text + FIELDS + TAIL, 'it has the error message of a service: No table "x"')


@pytest.mark.parametrize(
    "meta",
    [
        "# meta: !!python/object/apply:os.system ['touch {0}']",
        "# meta: !!python/object/new:os.system ['touch {0}']",
        "# meta: !!omap\n# - __serialized_columns__:\n#     id: {{__class__: subprocess.Popen, args: [touch, {0}]}}",
        "# meta: {{x: !numpy.ndarray {{buffer: !!binary 'AAAA', dtype: O, order: C, shape: [1]}}}}",
    ],
)
def test_ecsv_runs_no_code(tmp_path, meta):
    marker = tmp_path / "ran"
    refused(tmp_path / "c.ecsv", ECSV.replace("META", meta.format(marker)), "Cannot read the catalogue")
    assert not marker.exists()


def test_very_long_numbers_are_unknown(tmp_path):
    (tmp_path / "c.csv").write_text(f"id,ra,dec,z\n{'9' * 400},1,2,{'9' * 400}\nB,1,2,0.3\n")
    with pytest.warns(UserWarning, match=r"1 in 'z' \(row 1 '9{50,60}\)"):
        frame = read_catalog(tmp_path / "c.csv")
    assert frame["id"][0] == "9" * 400
    np.testing.assert_array_equal(frame["redshift"], [np.nan, 0.3])
    with pytest.warns(UserWarning, match="1 in 'z'"):
        read_catalog(pd.DataFrame({"id": ["A", "B"], "z": pd.Series([10**400, 0.3], dtype=object)}))


@pytest.mark.slow
def test_very_wide_tables_are_refused(tmp_path):
    names = ["id", "ra", "dec", *(f"c{k}" for k in range(200_000))]
    refused(tmp_path / "c.csv", ",".join(names) + "\n" + ",".join("1" for _ in names), "it has 200003 columns, but at")
    pq.write_table(pa.table({name: [1] for name in names[:12_000]}), tmp_path / "c.parquet")
    with pytest.raises(GridlensError, match="it has 12000 columns, but at most 10000 are supported"):
        read_catalog(tmp_path / "c.parquet")
    fields = "".join(f'<FIELD name="c{k}" datatype="int"/>' for k in range(12_000))
    refused(tmp_path / "c.vot", HEAD.format("", "") + fields + TAIL, "it has 12000 columns")


@pytest.mark.parametrize(
    ("card", "value", "words"),
    [
        ("NAXIS1", -5, "one of its headers has the invalid value NAXIS1 = -5"),
        ("NAXIS2", 10**12, "the file ends within its data"),
        ("NAXIS1", 10, "its columns take 20 bytes per row, but its header declares 10"),
        ("NAXIS", 10**6, "has the invalid value NAXIS = 1000000"),
        ("TFIELDS", 10**9, "has the invalid value TFIELDS = 1000000000"),
        ("TFIELDS", 900, "the types of its columns are damaged"),
        ("TFORM1", "999999999999A", "the types of its columns are damaged"),
        ("PCOUNT", 10**15, "the file ends within its data"),
        ("BITPIX", 7, "has the invalid value BITPIX = 7"),
        ("GCOUNT", "x", "has the invalid value GCOUNT = 'x'"),
    ],
)
def test_invalid_headers_of_fits_tables(tmp_path, card, value, words):
    Table({"id": ["A123"], "ra": [1.0], "dec": [2.0]}).write(tmp_path / "c.fits")
    data = (tmp_path / "c.fits").read_bytes()
    shown = f"{value!r:<20}" if isinstance(value, str) else f"{value:>20}"
    place = data.index(b"XTENSION")
    place = data.index(f"{card:<8}=".encode(), place)
    changed = data[:place] + f"{card:<8}= {shown}".ljust(80).encode() + data[place + 80 :]
    refused(tmp_path / "c.fits", changed, words)


def test_a_header_of_fits_without_an_end(tmp_path):
    refused(tmp_path / "c.fits", b"SIMPLE  =                    T".ljust(80) * 36 * 40, "the file ends within a header")


def test_parquet_that_declares_too_many_rows(tmp_path):
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"id": pa.nulls(10**8, pa.int8()), "ra": pa.nulls(10**8, pa.int8())}), path)
    with pytest.raises(GridlensError, match=r"it declares 100000000 rows in \d+ bytes"):
        read_catalog(path, columns={"dec": "ra"})


def test_files_that_decompress_to_a_large_size_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_table_files, "_FREE_BYTES", 1000)
    data = b"id,ra,dec\n" + b"A,1,2\n" * 1_000_000
    refused(tmp_path / "c.csv.gz", gzip.compress(data), "it becomes too large when it is decompressed")
    refused(tmp_path / "c.fits.gz", gzip.compress(b"SIMPLE  =" + bytes(10**7)), "it becomes too large")


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "c.csv")
    with pytest.raises(GridlensError, match="it is not a regular file"):
        read_catalog(tmp_path / "c.csv")
    with pytest.raises(GridlensError, match="it is not a regular file"):
        read_catalog("/dev/zero")


def test_nan_in_a_fits_table_is_unknown(tmp_path):
    Table({"id": [1], "ra": [1.0], "dec": [2.0]}).write(tmp_path / "c.fits")
    data = (tmp_path / "c.fits").read_bytes()
    (tmp_path / "c.fits").write_bytes(data.replace(struct.pack(">d", 2.0), struct.pack(">d", np.nan)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_catalog(tmp_path / "c.fits")["dec"].isna().all()
