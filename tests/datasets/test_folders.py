"""The path of a folder is a data source; a name that is a source and a folder is told apart."""

from pathlib import Path

import pytest

from tests.conftest import Program
from tests.datasets.trees import write_folders
from tests.plugin.conftest import register
from tuiprobe.datasets.load import load_suite, user_spec
from tuiprobe.datasets.registry import source_named
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.options import OptionError
from tuiprobe.request import command_of, make_spec


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with folders of several names."""
    for name in ("photos", "a/b", "csv", "imagefolder", "my:photos"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("photos", "imagefolder:photos"),
        ("./photos", "imagefolder:photos"),
        ("photos/", "imagefolder:photos"),
        ("a/b", "imagefolder:a/b"),
        ("/gone/too", "imagefolder:/gone/too"),  # it says that it does not exist
        ("~/x", "imagefolder:~/x"),
        (".", "imagefolder:."),
        ("./a:b", "imagefolder:a:b"),
        ("my:photos", "imagefolder:my:photos"),
        ("csv", "imagefolder:csv"),  # no source by its name alone
        ("imagefolder", "imagefolder:imagefolder"),
        ("imagefolder:photos", "imagefolder:photos"),
        ("miniature", "miniature"),
        ("miniature:", "miniature"),
        ("miniature:val", "miniature:val"),
        ("webdataset:/a/{0..3}.tar", "webdataset:/a/{0..3}.tar"),
        ("hf:me/shop:test", "hf:me/shop:test"),
        ("s3://bucket/x", "imagefolder:s3://bucket/x"),
        ("hf://datasets/me/x", "imagefolder:hf://datasets/me/x"),
        ("ftp://host/x", "ftp://host/x"),
        ("gone", "gone"),
        ("imagefolder:", "imagefolder:"),
        ("", ""),
        ("x" * 5000, "x" * 5000),
        ("x\0", "x\0"),
    ],
)
def test_a_folder_is_named_by_its_path(text: str, source: str) -> None:
    assert source_named(text) == source
    assert source_named(source) == source


def test_a_name_of_both_is_refused_with_both_spellings(place: Path, program: Program) -> None:
    (place / "miniature").mkdir()
    with pytest.raises(UsageError, match=r"write miniature: for the data set, \./miniature for"):
        source_named("miniature")
    assert source_named("miniature:") == "miniature"
    assert source_named("./miniature") == "imagefolder:miniature"
    assert source_named("miniature:val") == "miniature:val"
    for option in ("--data", "--target"):
        out, err = program("--headless", option, "miniature", code=2)
        assert out == ""
        assert f"error: {option}: 'miniature' is the name of a data set and of a folder" in err
    refused = list[OptionError]()
    user_spec("mini_clip", None, {"target": ["miniature"]}, refused)
    assert [error.name for error in refused] == ["target"]


def test_the_default_needs_no_spelling_and_a_spec_records_the_source(place: Path) -> None:
    (place / "miniature").mkdir()
    spec = user_spec(None, None, {})
    assert spec == user_spec("mini_clip", "miniature:", {}) == make_spec(None, "miniature", {})
    assert "miniature" not in command_of(spec.to_json()).split()
    spec = user_spec("mini_clip", "./photos", {"target": ["photos", "a/b", "none"]})
    assert spec.data == "imagefolder:photos"
    assert spec.target == ("imagefolder:photos", "imagefolder:a/b", "none")
    assert spec == make_spec("mini_clip", spec.data, {"target": spec.target})
    assert user_spec("mini_clip", "x", {"target": Path("photos")}).target == ("imagefolder:photos",)
    with pytest.raises(UsageError, match="--target takes text"):
        user_spec("mini_clip", "x", {"target": (3,)})
    with pytest.raises(UsageError, match="unknown data source 'gone', and no folder; give the p"):
        load_suite(source_named("gone"))
    with pytest.raises(DataError, match=r"/gone does not exist; give a folder"):
        load_suite(source_named("./gone"))
    with pytest.raises(UsageError, match=r"no folder \(did you mean photos\?\); give the path"):
        load_suite(source_named("foto"))
    with pytest.raises(DataError, match=r"/phots/cats does not exist; did you mean .*/photos\?"):
        load_suite(source_named("./phots/cats"))
    Path("photos/cats").mkdir()
    with pytest.raises(DataError, match=r"did you mean .*/photos/cats\?"):
        load_suite(source_named("./phots/cats"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("val.tar", "webdataset:val.tar"),
        ("./val.tar", "webdataset:val.tar"),
        ("tar:val.tar", "webdataset:val.tar"),
        ("webdatset:val-{0..3}.tar", "webdataset:val-{0..3}.tar"),
        ("ImageFolders:photos", "imagefolder:photos"),
        ("x.npz", "vectors:x.npz"),
        ("list.csv", "csv:list.csv"),
        ("./list.csv", "csv:list.csv"),
        ("s3://bucket/val.tar", "webdataset:s3://bucket/val.tar"),
    ],
)
def test_a_wrong_source_names_the_nearest(place: Path, typed: str, meant: str) -> None:
    for name in ("val.tar", "x.npz", "list.csv"):
        (place / name).touch()
    meant = meant.replace("{", "[{]").replace("}", "[}]")
    with pytest.raises(TuiprobeError, match=rf"did you mean {meant}\?"):
        load_suite(source_named(typed))


def test_a_source_of_another_package_is_told_apart_unloaded(place, monkeypatch):
    register(place, "strangers_bands", "1.0", {"tuiprobe.datasets": {"bands": "gone:SOURCE"}})
    monkeypatch.syspath_prepend(place)
    assert (source_named("bands"), source_named("bands:3")) == ("bands", "bands:3")
    (place / "bands").mkdir()
    with pytest.raises(UsageError, match=r"bands: for the data set, \./bands for the folder"):
        source_named("bands")


def test_a_suite_names_folders_below_its_own(place: Path) -> None:
    for name in ("cats", "cartoons"):
        write_folders(place / "below" / name, ["a", "b"], ".png")
    (place / "below" / "miniature").mkdir()
    file = place / "below" / "pets.toml"
    file.write_text('id = "cats"\n[shifts]\ncartoons = "./cartoons"\n')
    assert [images.source for images in load_suite(f"suite:{file}").sets.values()] == [
        f"imagefolder:{place}/below/{name}" for name in ("cats", "cartoons")
    ]
    for name, message in (
        ("miniature", r"pets\.toml: id: 'miniature' is the name of a data set"),
        ("photos", "a suite names folders, and sources of the kinds"),  # of the working folder
    ):
        file.write_text(f'id = "{name}"\n')
        with pytest.raises(DataError, match=message):
            load_suite(f"suite:{file}")
