"""The path of a folder is a data source; a name that is a source and a folder is told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import tuiprobe
from tests.datasets.trees import write_folders
from tuiprobe.cli.app import run_cli
from tuiprobe.datasets.assemble import user_spec
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.registry import source_named
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.preview import preview
from tuiprobe.run.directory import RunDir
from tuiprobe.spec import command_of, make_spec


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
        ("s3://bucket/x", "s3://bucket/x"),
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


def test_a_name_of_both_is_refused_with_both_spellings(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "miniature").mkdir()
    with pytest.raises(UsageError, match=r"write miniature: for the data set, \./miniature for"):
        source_named("miniature")
    assert source_named("miniature:") == "miniature"
    assert source_named("./miniature") == "imagefolder:miniature"
    assert source_named("miniature:val") == "miniature:val"
    for option in ("--data", "--target"):
        assert run_cli(["--headless", option, "miniature"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert f"error: {option}: 'miniature' is the name of a data set and of a folder" in err
    found = preview(["mini_clip"], {"target": ["miniature"]}, {}, None)
    assert found.problems.keys() == {"target"}


def test_the_default_and_its_command_need_no_spelling(place: Path) -> None:
    (place / "miniature").mkdir()
    spec = user_spec(None, None, {})
    assert spec == user_spec("mini_clip", "miniature:", {}) == make_spec(None, "miniature", {})
    assert "miniature" not in command_of(spec.to_json()).split()


def test_a_source_of_another_package_is_told_apart_unloaded(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = place / "strangers_bands-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers-bands\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tuiprobe.datasets]\nbands = strangers_gone:SOURCE\n")
    monkeypatch.syspath_prepend(place)
    assert (source_named("bands"), source_named("bands:3")) == ("bands", "bands:3")
    (place / "bands").mkdir()
    with pytest.raises(UsageError, match=r"bands: for the data set, \./bands for the folder"):
        source_named("bands")


def test_a_spec_records_the_source() -> None:
    spec = user_spec("mini_clip", "./photos", {"target": ["photos", "a/b", "none"]})
    assert (spec.data, spec.target) == (
        "imagefolder:photos",
        ("imagefolder:photos", "imagefolder:a/b", "none"),
    )
    assert spec == make_spec("mini_clip", spec.data, {"target": spec.target})
    assert user_spec("mini_clip", "x", {"target": Path("photos")}).target == ("imagefolder:photos",)
    with pytest.raises(UsageError, match="--target takes text"):
        user_spec("mini_clip", "x", {"target": (3,)})


def test_what_is_neither_says_how_to_name_a_folder() -> None:
    with pytest.raises(
        UsageError, match="unknown data source 'gone', and no folder; give the path"
    ):
        load_suite(source_named("gone"))
    with pytest.raises(DataError, match=r"/gone does not exist; give a folder"):
        load_suite(source_named("./gone"))


def test_a_suite_names_folders_below_its_own(place: Path) -> None:
    write_folders(place / "below" / "cats", ["a", "b"], ".png")
    write_folders(place / "below" / "cartoons", ["a", "b"], ".png")
    file = place / "below" / "pets.toml"
    file.write_text('id = "cats"\n[shifts]\ncartoons = "./cartoons"\n')
    suite = load_suite(f"suite:{file}")
    assert [one.source for one in suite.sets.values()] == [
        f"imagefolder:{place}/below/cats",
        f"imagefolder:{place}/below/cartoons",
    ]
    (place / "below" / "miniature").mkdir()
    file.write_text('id = "miniature"\n')
    with pytest.raises(DataError, match=r"pets\.toml: id: 'miniature' is the name of a data set"):
        load_suite(f"suite:{file}")
    file.write_text('id = "photos"\n')  # of the working folder, not of the file's
    with pytest.raises(DataError, match="a suite names folders, and sources of the kinds"):
        load_suite(f"suite:{file}")


def test_a_run_of_a_folder_is_the_run_of_its_source(place: Path) -> None:
    write_folders(place / "val", ["cat", "dog"], ".png")
    Image.new("RGB", (9, 9), (10, 90, 40)).save(place / "photos" / "flat.png")
    first = tuiprobe.probe("mini_clip", "./val", target=("photos",), output="runs/a")
    again = tuiprobe.probe(
        "mini_clip", "imagefolder:val", target=("imagefolder:photos",), output="runs/a"
    )
    assert first.key == again.key
    spec = RunDir(place / "runs" / "a").spec_json()
    assert (spec["data"], spec["target"]) == ("imagefolder:val", ["imagefolder:photos"])
