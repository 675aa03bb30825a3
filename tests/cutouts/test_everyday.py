"""Tests of catalogues as users and archives write them: they are read, or refused with the true reason."""

import bz2
import gzip
import lzma

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from gridlens.cutouts import read_catalog
from gridlens.errors import GridlensError

ONE = [["A", 150.1, 2.2]]
CSV = b"id,ra,dec\nA,150.1,2.2\n"
VIZIER = "#RESOURCE=x\n#Name: y\n_RAJ2000\t_DEJ2000\tName\ndeg\tdeg\t\n--------\t--------\t----\n150.1\t2.2\tA\n"
SEXTRACTOR = """#   1 NAME            Name of the object
#   2 ALPHA_J2000     Right ascension of barycenter (J2000)   [deg]
#   3 DELTA_J2000     Declination of barycenter (J2000)       [deg]
#   4 MAG_APER        Fixed aperture magnitude vector         [mag]
#   6 FLAGS           Extraction flags
  A 150.1 2.2 20.1 20.2 0
"""
IPAC = """\\catalog='x'
|name |ra     |dec    |
|char |double |double |
|     |deg    |deg    |
|null |null   |null   |
 A     150.1   2.2
"""
CDS = """Title: Clusters
================================================================================
Byte-by-byte Description of file: table.dat
--------------------------------------------------------------------------------
   Bytes Format Units  Label  Explanations
--------------------------------------------------------------------------------
   1- 10 A10    ---    Name   Name
  12- 20 F9.5   deg    RAdeg  Right ascension
  22- 30 F9.5   deg    DEdeg  Declination
--------------------------------------------------------------------------------
A          150.10000   2.20000
"""
VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="name" ID="col_0" datatype="char" arraysize="*"/><FIELD name="ra" ID="dec" datatype="double" unit="deg"/>
<FIELD name="dec" ID="ra" datatype="double" unit="deg"/>
<DATA><TABLEDATA><TR><TD>A</TD><TD>150.1</TD><TD>2.2</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize(
    "data",
    [
        b"# id,ra,dec\nA,150.1,2.2\n",
        b"# of 2026\n# id ra dec\nA 150.1 2.2\n",
        b"#id ra dec\nA 10:00:24.00 +02:12:00.0\n",
        b"\xef\xbb\xbf# clusters\nid,ra,dec\nA,150.1,2.2\n",
        b"\xef\xbb\xbfid,ra,dec\r\nA,150.1,2.2\r\n",
        b"id;ra;dec\nA;150.1;2.2\n",
        b"sep=;\nid;ra;dec\nA;150.1;2.2\n",
        b" id | ra    | dec \n----+-------+-----\n A  | 150.1 | 2.2 \n",
        VIZIER.encode(),
        VIZIER.replace("\t", ",").replace("#RESOURCE=x\n", "").encode(),
        VIZIER.replace("\t", ";").encode(),
        b"id,ra,dec\n,deg,deg\nA,150.1,2.2\n",
        "id\tra\tdec\r\nA\t150.1\t2.2\r\n".encode("utf-16"),
        b"\xfe\xff" + CSV.decode().encode("utf-16-be"),
        b"id ra dec\nA 150.1 2.2\n",
        b"id,ra,dec\rA,150.1,2.2\r",
        b"Name,RAdeg,DEdeg\nA,150.1,2.2\n",
        b"Name,_RA.icrs,_DE.icrs\nA,150.1,2.2\n",
        b"objID,raMean,decMean\nA,150.1,2.2\n",
        b"objectId,coord_ra,coord_dec\nA,150.1,2.2\n",
        b"id,ALPHAWIN_J2000,DELTAWIN_J2000\nA,150.1,2.2\n",
        b"Name,RA (J2000),DEC (J2000)\nA,150.1,2.2\n",
        SEXTRACTOR.encode(),
        IPAC.encode(),
        CDS.encode(),
        VOTABLE.encode(),
        gzip.compress(CSV, mtime=0),
        bz2.compress(CSV),
        lzma.compress(CSV),
        gzip.compress(VOTABLE.encode(), mtime=0),
    ],
)
@pytest.mark.parametrize("name", ["c.csv", "c.fits", "c"])
def test_the_content_determines_the_format(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)
    frame = read_catalog(tmp_path / name)
    assert frame[["id", "ra", "dec"]].to_numpy().tolist() == [["A", pytest.approx(150.1), pytest.approx(2.2)]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"# nothing\n", "it is empty"),
        (b"A,150.1,2.2\nB,150.2,2.3\n", "no line with the names of its columns: the first is 'A,150.1,2.2'"),
        (b"id ra dec z\nA 150.1 2.2 0.1\nB 150.1 2.2\n", "separated by blanks, and line 3 has 3 words for 4 columns"),
        (b"Name ra dec\nAbell 1 150.1 2.2\n", "separated by blanks, and its first row has 4 words for 3 columns"),
        ((VIZIER + "\n" + VIZIER).encode(), "several tables, one below the other"),
        (b"PK\x03\x04" + bytes(30), "a zip archive. Save it as CSV if it is an Excel workbook, or unpack it."),
        (b"\x89HDF\r\n\x1a\n" + bytes(30), "an HDF5 file"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "a web page"),
        (b"id,ra,dec\nA\0B,150.1,2.2\n", "not text"),
        (b"%PDF-1.4\n", "a PDF document"),
        (b'[{"id": "A", "ra": 150.1, "dec": 2.2}]', "it is JSON"),
        (b"+----+-------+\n| id | ra    |\n+----+-------+\n", "a table drawn with lines"),
        (b"id;ra;dec\nA;150,1;2,2\n", "must be numbers in degrees. Got '150,1' instead"),
        (
            b"id,coord_ra,coord_dec\nA,1.2,0.3\n",
            "'coord_ra' .* has no unit, and its values could be radians or degrees",
        ),
        (VOTABLE.replace("<TR>", "<TR").encode(), "not well-formed XML"),
    ],
)
def test_a_refusal_states_the_actual_reason(tmp_path, data, words):
    (tmp_path / "c.csv").write_bytes(data)
    with pytest.raises(GridlensError, match=words):
        read_catalog(tmp_path / "c.csv")


def test_lsst_positions_in_radians_are_converted(tmp_path):
    table = Table({"id": [1], "coord_ra": [np.pi], "coord_dec": [-np.pi / 4]}, units={"coord_ra": "rad"})
    table["coord_dec"].unit = "rad"
    table.write(tmp_path / "c.fits")
    assert read_catalog(tmp_path / "c.fits").to_numpy().tolist() == [["1", pytest.approx(180), pytest.approx(-45)]]


def test_units_of_a_row_of_units_are_used(tmp_path):
    (tmp_path / "c.tsv").write_text(
        '_RAJ2000\t_DEJ2000\tseeing\n"h:m:s"\t"d:m:s"\tmas\n---\t---\t---\n12 00 00\t-45\t700\n'
    )
    row = read_catalog(tmp_path / "c.tsv").iloc[0]
    assert row.to_dict() == pytest.approx({"ra": 180.0, "dec": -45.0, "seeing": 0.7})


def test_hours_and_degrees_in_separate_columns(tmp_path):
    head = CDS[: CDS.index("   1- 10")]
    fields = """   1-  3 A3     ---    Name   Name
   5-  6 I2     h      RAh    Hour
   8-  9 I2     min    RAm    Minute
  11- 15 F5.2   s      RAs    Second
      17 A1     ---    DE-    Sign
  18- 19 I2     deg    DEd    Degree
  21- 22 I2     arcmin DEm    Minute
  24- 27 F4.1   arcsec DEs    Second
"""
    rule = "-" * 80 + "\n"
    rows = "A   12 09 23.70 -00 40 54.0\nB   00 00 00.00 +01 30 00.0\nC               +01 30 00.0\n"
    (tmp_path / "c.txt").write_text(head + fields + rule + rows)
    frame = read_catalog(tmp_path / "c.txt")
    assert frame["ra"].tolist() == [pytest.approx(182.34875), 0.0, pytest.approx(np.nan, nan_ok=True)]
    assert frame["dec"].tolist() == pytest.approx([-0.68166667, 1.5, 1.5])


def test_units_in_a_comment_line_are_used(tmp_path):
    (tmp_path / "c.txt").write_text(f"# a catalogue\n# id,ra,dec\n# ,rad,rad\nA,{np.pi},0\n")
    assert read_catalog(tmp_path / "c.txt").to_numpy().tolist() == [["A", 180.0, 0.0]]


def table_of(names, extension):
    columns = [fits.Column(name, "4A" if name == "NAME" else "D", array=value) for name, value in names.items()]
    return fits.BinTableHDU.from_columns(columns, name=extension)


def test_the_table_with_positions_is_read(tmp_path):
    header = fits.BinTableHDU.from_columns(
        [fits.Column("Field Header Card", "80A", array=np.array(["SIMPLE = T"]))], name="LDAC_IMHEAD"
    )
    objects = table_of({"NAME": ["A"], "ALPHA_J2000": [150.1], "DELTA_J2000": [2.2]}, "LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), header, objects]).writeto(tmp_path / "ldac.cat")
    assert read_catalog(tmp_path / "ldac.cat").to_numpy().tolist() == ONE
    other = table_of({"NAME": ["B"], "RA": [1.0], "DEC": [2.0]}, "OTHER")
    fits.HDUList([fits.PrimaryHDU(), other, objects]).writeto(tmp_path / "both.fits")
    assert read_catalog(tmp_path / "both.fits").to_numpy().tolist() == ONE
    objects.name = "MINE"
    fits.HDUList([fits.PrimaryHDU(), other, objects]).writeto(tmp_path / "two.fits")
    with pytest.raises(GridlensError, match=r"2 tables of the same kind \(OTHER, MINE\)\. Keep one of them"):
        read_catalog(tmp_path / "two.fits")
    other.header["ZTABLE"] = True
    fits.HDUList([fits.PrimaryHDU(), other]).writeto(tmp_path / "packed.fits")
    with pytest.raises(GridlensError, match=r"compressed with fpack\. Decompress it with funpack"):
        read_catalog(tmp_path / "packed.fits")
    with pytest.raises(GridlensError, match="it is a FITS file without a table"):
        fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
        read_catalog(tmp_path / "image.fits")


def test_folders_of_parquet_files(tmp_path):
    data = tmp_path / "hats" / "dataset"
    for k, name in enumerate("AB"):
        folder = data / "Norder=0" / f"Dir={k}"
        folder.mkdir(parents=True)
        pd.DataFrame({"id": [name], "ra": [150.1 + k], "dec": [2.2]}).to_parquet(folder / "Npix=0.parquet")
    (data / "_metadata").write_bytes(b"PAR1")
    assert read_catalog(tmp_path / "hats").to_numpy().tolist() == [["A", 150.1, 2.2], ["B", 151.1, 2.2]]
    pd.DataFrame({"id": ["C"], "ra": [1.0]}).to_parquet(data / "z.parquet")
    with pytest.raises(GridlensError, match=r"its file .*z\.parquet lacks the column 'dec'"):
        read_catalog(tmp_path / "hats")
    (tmp_path / "empty").mkdir()
    with pytest.raises(GridlensError, match="a folder without Parquet files"):
        read_catalog(tmp_path / "empty")


def test_margins_of_a_hats_collection_are_not_read(tmp_path):
    for name in ("main", "margin"):
        (tmp_path / name).mkdir()
        pd.DataFrame({"id": [name], "ra": [1.0], "dec": [2.0]}).to_parquet(tmp_path / name / "a.parquet")
    (tmp_path / "collection.properties").write_text("obs_collection=x\nhats_primary_table_url=main\n")
    assert read_catalog(tmp_path)["id"].tolist() == ["main"]
    (tmp_path / "collection.properties").write_text("hats_primary_table_url=../elsewhere\n")
    with pytest.raises(GridlensError, match=r"its collection\.properties names no catalogue in it"):
        read_catalog(tmp_path)


def test_magnitudes_and_sizes_of_objects_are_not_metadata(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,g,r,i,z\nA,21,20,19.8,0.5\n")
    with pytest.warns(
        UserWarning, match=r"'z' .* next to g and r and is treated as a magnitude.* columns=\{\"redshift\""
    ):
        assert read_catalog(path).columns.tolist() == ["id"]
    assert read_catalog(path, columns={"redshift": "z"})["redshift"].tolist() == [0.5]
    path.write_text("id,g,r,i,z,redshift\nA,21,20,19.8,19.5,0.4\n")
    assert read_catalog(path)["redshift"].tolist() == [0.4]
    path.write_text("id,FWHM\nA,4.2\n")
    assert read_catalog(path).columns.tolist() == ["id"]
    path.write_text("id,FWHM [pix]\nA,4.2\n")
    assert read_catalog(path).columns.tolist() == ["id"]
    path.write_text("id,FWHM [arcsec]\nA,0.7\n")
    assert read_catalog(path)["seeing"].tolist() == [0.7]


def test_rows_that_look_like_comments_are_reported(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,ra,dec\n#1,150.1,2.2\nA,150.1,2.2\n# a remark\n")
    with pytest.warns(
        UserWarning, match=r"In the catalogue .*c\.csv 1 lines that begin with # are treated as comments\."
    ):
        assert read_catalog(path).to_numpy().tolist() == ONE
