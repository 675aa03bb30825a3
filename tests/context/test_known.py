"""Tests of lists of known lenses: the bundled list and its build, your own lists and SLED's."""

import hashlib
import importlib.util
import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridlens.context import known_lenses, read_known_lenses
from gridlens.errors import GridlensError

SCRIPT = Path(__file__).parents[2] / "examples" / "build_known_lenses.py"
GUIDE = SCRIPT.parents[1] / "docs" / "context.md"
DATA = resources.files("gridlens.context").joinpath("data")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_known_lenses", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bundled_file_matches_its_record():
    content = DATA.joinpath("known_lenses.parquet").read_bytes()
    lenses = known_lenses()
    assert len(content) < 2_000_000
    assert lenses.attrs["sha256"] == hashlib.sha256(content).hexdigest()
    assert lenses.attrs["rows"] == lenses.attrs["counts"]["rows written"] == len(lenses) > 32_000
    assert lenses.attrs["version"] == "1.1.3"
    assert "Permission is hereby granted" in DATA.joinpath("LICENSE.lenscat").read_text()


def test_bundled_counts_add_up():
    counts = known_lenses().attrs["counts"]
    checked = sum(number for name, number in counts.items() if name.startswith(("position", "dropped", "name")))
    assert checked == counts["rows of lenscat"]
    dropped = counts["dropped: position contradicts the name"] + counts["merged into another row"]
    assert counts["rows of lenscat"] - dropped == counts["rows written"]
    assert sum(number for name, number in counts.items() if "lost hours" in name) == 58


def test_bundled_values():
    lenses = known_lenses()
    assert lenses["ra"].between(0.0, 360.0).all()
    assert lenses["dec"].between(-90.0, 90.0).all()
    assert set(lenses["type"]) == {"galaxy", "group", "cluster"}
    assert set(lenses["grade"]) == {"confident", "probable", "unverified"}
    assert (lenses["z"].dropna() > 0.0).all()
    assert lenses["name"].str.len().between(3, 40).all()
    assert not lenses["name"].str.contains("|", regex=False).any()
    # The entry of AGEL 010128-334319 in lenscat has lost the hour of its right ascension.
    assert ((lenses["ra"] - 15.36583).abs() + (lenses["dec"] + 33.722).abs() < 1e-3).any()
    assert not ((lenses["ra"] - 0.36583).abs() + (lenses["dec"] + 33.722).abs() < 1e-3).any()
    assert not lenses["name"].eq("FOR-J0332-3557").any()


def test_guide_has_the_counts_of_the_build():
    counts = known_lenses().attrs["counts"]
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \|$", GUIDE.read_text(), re.MULTILINE)
    told = {words: int(number.replace(",", "")) for words, number in rows}
    for words, names in {
        "in lenscat": ["rows of lenscat"],
        "position confirmed by the name (J2000 or B1950)": ["position confirmed by the name"],
        "no coordinates in the name": ["position without coordinates in the name"],
        "repaired: lost hours of right ascension, half of them lost degrees of declination too": [
            "position repaired: lost hours of right ascension",
            "position repaired: lost hours and degrees",
        ],
        "repaired: lost degrees of declination alone": ["position repaired: lost degrees of declination"],
        "name replaced, position kept": [name for name in counts if name.startswith("name replaced")],
        "dropped: position contradicts the name": ["dropped: position contradicts the name"],
        "merged into another row of the same lens": ["merged into another row"],
        "graded unverified": ["graded unverified: only in catalogues of clusters or galaxies"],
        "written": ["rows written"],
    }.items():
        assert told[words] == sum(counts[name] for name in names), words


def test_build_of_a_small_sample(script, tmp_path):
    rows = [
        (
            "AGEL 010238+015857",
            0.659583333,
            0.982416667,
            "L",
            "galaxy",
            "confident",
            "https://arxiv.org/abs/2205.05307",
        ),
        ("FOR-J0332-3557", 58.24975, -35.96436, "0.986", "galaxy", "probable", "A (2012) - adsabs:x"),
        ("000008+022658", 0.0344, 2.4495, "0.5", "galaxy", "probable", "https://arxiv.org/abs/2002.01611"),
        *[(f"000008+0226{k}", 1.0 + k / 10, -0.3, "0.5", "galaxy", "probable", "b") for k in range(59, 66)],
        (
            "NSCS J000001+051909",
            0.00471,
            5.31917,
            "-",
            "galaxy",
            "probable",
            "Lopes et al. (2004) - doi:10.1086/423038",
        ),
        (
            "Abell1 | J1000+0200 | 12",
            150.05,
            2.03,
            "0.6 | 0.64 | nan",
            "cluster",
            "probable",
            "A - arXiv:1 | B - doi:2",
        ),
        ("J1000+0201", 150.055, 2.031, "not measured", "group", "confident", "b"),
        ("17", 40.0, -0.5, "0.2 | 0.9", "galaxy", "probable", "b"),
        ("MACS J0416.1+2403", 64.0381, -24.06749, "-", "cluster", "confident", "b"),
        ("MACSJ0416.1-2403", 64.0382, -24.0676, "0.396", "cluster", "confident", "b"),
    ]
    source = tmp_path / "catalog.csv"
    columns = ["name", "RA [deg]", "DEC [deg]", "zlens", "type", "grading", "ref"]
    pd.DataFrame(rows, columns=columns).to_csv(source, index=False)
    record = script.build(source, tmp_path, "test")
    counts = record["counts"]
    assert counts["position repaired: lost hours and degrees"] == 1
    assert counts["dropped: position contradicts the name"] == 1
    assert counts["name replaced: counted up by a spreadsheet"] == 7
    assert counts["name replaced: the position is that of another name"] == 1
    assert counts["graded unverified: only in catalogues of clusters or galaxies"] == 1
    assert counts["redshift left out: values contradict each other"] == 1
    assert counts["merged into another row"] == 2
    built = pd.read_parquet(tmp_path / "known_lenses.parquet").set_index("name")
    assert built.loc["AGEL 010238+015857", ["ra", "dec"]].tolist() == pytest.approx([15.65958, 1.98242])
    assert np.isnan(built.loc["J024000-003000", "z"])
    # The row with the better grade keeps its position and name; the redshift and the type come from the other row.
    merged = built.loc["J1000+0201"]
    assert (merged["type"], merged["grade"], merged["z"]) == ("cluster", "confident", 0.6)
    assert built.loc["MACSJ0416.1-2403", "z"] == 0.396
    assert json.loads((tmp_path / "known_lenses.json").read_text()) == record


@pytest.mark.parametrize(
    ("text", "z"),
    [("0.6 | 0.64 | nan", 0.6), ("-", None), ("not measured", None), ("0.272?", 0.272), ("0.55*", 0.55), ("L", None)],
)
def test_redshifts_of_lenscat(script, text, z):
    found, _ = script.redshift_of(text)
    assert found == z if z else np.isnan(found)


def test_user_catalogue(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("Name,RAJ2000,DEJ2000,z,type,grade\nA1,10.5,-3.0,0.3,Group,probable\nA2,20.0,4.0,,,\nA3,,,0.2,,\n")
    found = read_known_lenses(path)
    assert found["name"].tolist() == ["A1", "A2"]
    assert found["type"].tolist() == ["group", "cluster"]
    assert found["grade"].tolist() == ["probable", "confident"]
    assert found.attrs["left_out"] == 1


def test_user_catalogue_without_positions_or_with_unknown_types():
    with pytest.raises(GridlensError, match="must have positions"):
        read_known_lenses(pd.DataFrame({"id": ["a"], "z": [0.3]}))
    with pytest.raises(GridlensError, match="no row with a position"):
        read_known_lenses(pd.DataFrame({"id": ["a"], "ra": [np.nan], "dec": [0.0]}))
    with pytest.raises(GridlensError, match=r"must hold galaxy, group, cluster\. Got 'quasar' instead"):
        read_known_lenses(pd.DataFrame({"ra": [1.0], "dec": [0.0], "type": ["quasar"]}))


def test_sled(tmp_path):
    entries = [
        {"name": "A", "ra": "10.1", "dec": "-3.2", "flag": "CONFIRMED", "lens_type": ["CLUSTER"]},
        {"name": "B", "ra": 11.0, "dec": 4.0, "flag": "CONTAMINANT", "lens_type": None},
        {"name": "C", "ra": 12.0, "dec": 4.0, "flag": "CANDIDATE", "redshift": [{"tag": "LENS", "value": "0.4"}]},
        {"name": "D", "ra": None, "dec": None, "flag_confirmed": True},
    ]
    path = tmp_path / "sled.json"
    path.write_text(json.dumps({"lenses": entries}))
    found = read_known_lenses(path)
    assert found["grade"].tolist() == ["confident", "contaminant", "probable"]
    assert found["type"].tolist() == ["cluster", "galaxy", "galaxy"]
    assert found["z"].tolist() == pytest.approx([np.nan, np.nan, 0.4], nan_ok=True)
    for text, said in (("{", "not valid JSON"), ('{"a": 1}', "under the key 'lenses'"), ('[{"a": 1}]', "no positions")):
        path.write_text(text)
        with pytest.raises(GridlensError, match=said):
            read_known_lenses(path)
    with pytest.raises(GridlensError, match="There is no catalogue"):
        read_known_lenses(tmp_path / "absent.json")
