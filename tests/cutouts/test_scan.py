import os
import tracemalloc

import pytest

from gridlens.cutouts.readers._scan import Entries, Entry, find_entries
from gridlens.errors import CutoutError


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def ids(paths):
    return [entry.id for entry in find_entries(paths)]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("A1_{}.fits", "A1"),
        ("A1-{}.fits", "A1"),
        ("A1.{}.fits.gz", "A1"),
        ("J10.5-09.2_{}_sci.fits", "J10.5-09.2"),
        ("{}_A1.fits", "A1"),
        ("A1_{}_v2.fit", "A1_v2"),
        ("group_r_12_{}.fits", "group_r_12"),
        ("{}_sci.fits", "field"),
        ("{}.fits", "field"),
    ],
)
def test_files_that_differ_in_a_band_token_make_one_cutout(touch, pattern, name):
    folder = touch(*(f"field/{pattern.format(band)}" for band in "irg"))
    (entry,) = find_entries(folder)
    assert entry.id == name
    assert entry.problem == ""
    assert entry.bands == {band: str(folder / "field" / pattern.format(band)) for band in "gri"}
    assert entry.path == entry.bands["g"]


def test_companions_and_other_bands_are_ignored(touch):
    companions = ["wht", "rms", "psf", "mask"]
    folder = touch(
        *(f"A_{band}_sci.fits" for band in "ugrizy"),
        *(f"A_{band}_{word}.fits" for band in "gri" for word in companions),
        *(f"A_{word}_{band}.fits" for band in "gri" for word in companions),
        "A_mask.fits",
    )
    (entry,) = find_entries(folder)
    assert entry.id == "A"
    assert sorted(entry.bands) == ["g", "i", "r"]


def test_a_companion_word_at_the_start_belongs_to_the_name(touch):
    assert ids(touch("psf-test_g.fits", "psf-test_r.fits", "psf-test_i.fits", "mask_a.fits")) == ["mask_a", "psf-test"]


def test_upper_case_letters_are_part_of_the_name(touch):
    assert ids(touch("A_G.fits", "A_R.fits")) == ["A_G", "A_R"]


def test_entries_are_sorted_and_unique_for_any_input_order(touch):
    folder = touch(
        "b.npy", "a/z.npz", "a/y.fits", "c_g.fits", "c_r.fits", "c_i.fits", "notes.txt", ".d.npy", ".e/f.npy"
    )
    expected = ["y", "z", "b", "c"]
    assert ids(folder) == expected
    given = [folder / "c_r.fits", folder / "b.npy", str(folder / "c_*.fits"), folder, f"{folder}/a/../b.npy"]
    assert ids(given) == expected


def test_globs(touch):
    folder = touch("a1.npy", "a2.npy", "b.npy", "a.txt", "a/deep.npy")
    assert ids(f"{folder}/a*") == ["deep", "a1", "a2"]
    assert ids(f"{folder}/**/*.npy") == ["deep", "a1", "a2", "b"]
    assert ids(f"{folder}/[b-z].npy") == ["b"]


def test_an_existing_file_with_glob_characters_is_read(touch):
    assert ids(touch("a[1].npy") / "a[1].npy") == ["a[1]"]


def test_stores_are_single_entries(touch):
    folder = touch("a.zarr/zarr.json", "a.zarr/c.npy", "deep/b.ZARR/.zgroup", "c.zarr.zip", ".d.zarr/zarr.json", "e.h5")
    expected = [("a", "zarr"), ("c", "zarr"), ("b", "zarr"), ("e", "hdf5")]
    assert [(entry.id, entry.kind) for entry in find_entries(folder)] == expected
    given = [f"{folder}/a.zarr/", folder / "c.zarr.zip", f"{folder}/deep", f"{folder}/*.h5"]
    assert [(entry.id, entry.kind) for entry in find_entries(given)] == expected
    assert ids(f"{folder}/*.zarr") == ["a"]


def test_pictures_are_included_on_request(touch):
    folder = touch("a.png", "b.npy", "c.JPEG", "c.jpg.txt", "only/d.jpg")
    assert ids(folder) == ids(f"{folder}/*.*") == ["b"]
    found = [(entry.id, entry.kind) for entry in find_entries(folder, uncalibrated=True)]
    assert found == [("a", "picture"), ("b", "npy"), ("c", "picture"), ("d", "picture")]
    for item in (folder / "a.png", folder / "only", f"{folder}/*.png", f"{folder}/only/*"):
        with pytest.raises(CutoutError, match=r"There are only pictures .*no photometry; uncalibrated=True"):
            find_entries([folder / "b.npy", item])


def test_missing_band_is_a_problem_that_names_it(touch):
    (entry,) = find_entries(touch("A_g.fits", "A_i.fits"))
    assert entry.problem == "The band r is missing: there are only A_g.fits, A_i.fits."
    (entry,) = find_entries(touch("B_z.fits", "B_y.fits").glob("B*"))
    assert entry.problem.startswith("The bands g, r and i are missing")
    assert entry.id == "B"


def test_two_files_for_a_band_are_a_problem(touch):
    (entry,) = find_entries(touch("A_g.fits", "A_g_sci.fits", "A_r.fits", "A_i.fits"))
    assert "2 files for the band g: A_g.fits and A_g_sci.fits" in entry.problem


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("words/a.txt", r"\.h5, .*\.zarr, .*files, and with uncalibrated=True \.jpg, \.jpeg, \.png\."),
        ("nowhere", r"There is no file or folder .*nowhere\. Check the path"),
        ("none*", r"No cutouts match .*none\*\. Cutouts are \.npy, \.npz, \.fits"),
        ("empty", r"no cutouts in the folder .*empty\. Cutouts are \.npy"),
        ("words", r"no cutouts in the folder .*words"),
        ("words/a.txt", r"a\.txt is of an unknown kind\. Cutouts are"),
        ("weights", r"only companion maps, such as weights, PSFs and masks"),
    ],
)
def test_missing_inputs_have_a_clear_message(touch, item, words):
    folder = touch("words/a.txt", "weights/A_g_wht.fits", "b.npy")
    (folder / "empty").mkdir()
    with pytest.raises(CutoutError, match=words):
        find_entries(folder / item)
    if item != "weights":
        with pytest.raises(CutoutError, match=words):
            find_entries([folder / "b.npy", folder / item])


def test_no_paths_at_all():
    with pytest.raises(CutoutError, match="at least one file, folder or glob"):
        find_entries([])


def test_links_to_folders_are_followed_once_each(tmp_path, touch):
    folder = touch("A.npy", "sub/B.npy")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "C.npy").touch()
    (folder / "first").symlink_to(outside)
    (folder / "second").symlink_to(outside)
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "sub")
    assert sorted(ids(folder)) == ["A", "B", "C"]


def test_folders_deeper_than_the_stack_are_searched(touch, monkeypatch):
    folder = touch("A.npy")
    monkeypatch.chdir(folder)
    depth = 1500
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    open("B.npy", "w").close()
    try:
        assert ids(folder) == ["A", "B"]
    finally:
        # shutil.rmtree does not reach this depth
        os.unlink("B.npy")
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")


def test_an_unreadable_folder_warns(touch, monkeypatch):
    folder = touch("A.npy", "closed/B.npy")
    original = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.warns(UserWarning, match=r"The folder .*closed cannot be read and is skipped: Permission denied"):
        assert ids(folder) == ["A"]


def test_bands_in_separate_folders_make_one_cutout(touch):
    folder = touch(*(f"{band}/A_{band}.fits" for band in "gri"))
    assert ids(folder) == ["A"]


def test_stored_entries_are_restored_in_path_order():
    made = [
        Entry("b", "x/b_g.fits", "fits", {"g": "x/b_g.fits", "r": "x/b_r.fits", "i": "x/b_i.fits"}),
        Entry("folders", "g/a.fits", "fits", {"g": "g/a.fits", "r": "r/a.fits", "i": "a.fits"}),
        Entry("here", "a_g.fits", "fits", {"g": "a_g.fits", "r": "x/a_r.fits"}, "No band i: there are only a_g.fits."),
        Entry("caf\\xe9", "caf\udce9.npz", "npz", {}),
        Entry("slashes", "x//c_r.fits", "fits", {"r": "x//c_r.fits", "i": "x/c_i.fits"}),
        Entry("a", "x/b.npy", "npy", {}),
    ]
    entries = Entries(made)
    assert list(entries) == entries[:] == sorted(made, key=lambda entry: entry.path)
    assert [list(entry.bands) for entry in entries] == [list(entries[k].bands) for k in range(len(made))]
    assert entries[-1] == max(made, key=lambda entry: entry.path)


def test_entries_of_several_layouts_are_sorted_by_path(touch):
    folder = touch(
        *(f"{band}/A_{band}.fits" for band in "gri"),
        *(f"{band}_B.fits" for band in "gri"),
        *(f"C_{band}.fits" for band in "gri"),
        *(f"C_2_{band}.fits" for band in "gri"),
        "C.npz",
        "sub/D_z.fits",
        "sub/D_g.fits",
        "sub/D_g_sci.fits",
    )
    entries = find_entries([folder, folder / "sub", folder / "C.npz"])
    assert [(entry.id, os.path.relpath(entry.path, folder)) for entry in entries] == [
        ("C", "C.npz"),
        ("C_2", "C_2_g.fits"),
        ("C", "C_g.fits"),
        ("A", "g/A_g.fits"),
        ("B", "g_B.fits"),
        ("D", "sub/D_g.fits"),
    ]
    assert entries[-1].problem.startswith("There are 2 files for the band g: D_g.fits and D_g_sci.fits.")
    assert list(entries[3].bands.values()) == [str(folder / band / f"A_{band}.fits") for band in "gri"]


@pytest.mark.slow
def test_entries_use_little_memory(tmp_path):
    n = 30_000
    for k in range(n):
        (tmp_path / f"cluster{k // 3:07d}_{'gri'[k % 3]}.fits").touch()
    find_entries(tmp_path / "cluster0000000_*")
    tracemalloc.start()
    try:
        entries = find_entries(tmp_path)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(entries) == n // 3
    assert held < 150 * n
    assert peak < 300 * n
