"""Names of runs: the field that differs, and a hash nowhere."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.naming import NamedRun, distinct_names

FOLDERS = ("m-photos-0a1b2c3d", "m-photos-99999999", "m-photos-deadbeef")


def named(*specs: dict[str, Any], folders: tuple[str, ...] = FOLDERS) -> list[str]:
    """Names runs of a model `m` in directories that the program named."""
    return distinct_names(
        [
            NamedRun(spec.get("model", "m"), RunDir(folder), spec)
            for spec, folder in zip(specs, folders, strict=False)
        ]
    )


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (({"model": "a"}, {"model": "b", "head": "probe"}), ["a", "b"]),
        (({}, {"head": "probe"}), ["m (default head)", "m (head probe)"]),
        (
            ({"head": "a/old.safetensors"}, {"head": "a/new.safetensors"}),
            ["m (head old.safetensors)", "m (head new.safetensors)"],
        ),
        (({}, {"checkpoint": "w/epoch3.pt"}), ["m (published weights)", "m (epoch3.pt)"]),
        (({"classes": "a.txt"}, {"classes": "b.txt"}), ["m (classes a.txt)", "m (classes b.txt)"]),
        (({"data": "x/photos"}, {"data": "y/photos/"}), ["m (on x/photos)", "m (on y/photos)"]),
        (({"target": ["street"]}, {"target": []}), ["m (target street)", "m (no target)"]),
        (({"sample": 400}, {"sample": None}), ["m (sample 400)", "m (sample all)"]),
        (
            ({"head": "probe", "data": "a"}, {"data": "a"}, {"head": "probe", "data": "b"}),
            ["m (head probe, on a)", "m (default head)", "m (head probe, on b)"],
        ),
        (
            ({"model": "answers:/x/a.csv"}, {"model": "answers:/x/b.csv"}),
            ["answers:a.csv", "answers:b.csv"],
        ),
        (
            ({"data": "photos", "device": "cpu"}, {"data": "./photos", "device": "cuda"}),
            ["m", "m (2)"],
        ),
    ],
)
def test_the_field_that_differs_names_a_run(specs: Any, names: list[str], tmp_path: Path) -> None:
    same = (str(tmp_path / FOLDERS[0]),) * 3
    assert named(*specs, folders=same) == names


def test_directories_name_runs_unless_the_program_named_them_then_times(tmp_path: Path) -> None:
    def at(*folders: str) -> list[str]:
        return named(*[{}] * len(folders), folders=tuple(str(tmp_path / f) for f in folders))

    assert at("x", "y") == ["x", "y"]
    assert at("1/x", "2/x") == ["1/x", "2/x"]
    assert at("x", "x") == ["m", "m (2)"]
    for hour, folder in enumerate(FOLDERS[:2]):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "results.json"
        file.write_text("{}")
        os.utime(file, (1.7e9 + 3600 * hour,) * 2)
    first, second = at(*FOLDERS[:2])
    assert first != second
    assert "0a1b" not in first
    assert first.startswith("m (11-1")
    assert at(*FOLDERS[::2]) != at(FOLDERS[0], FOLDERS[0])


values: list[Any] = ["", "a", "a/b", "b/", "\x1b[31m", 3, None, ["a", "\u202e"], {}, True]
texts = st.sampled_from(values)
specs = st.dictionaries(st.sampled_from(["head", "data", "target", "sample"]), texts, max_size=3)
models = st.sampled_from(["m", "m (2)", "x", "answers:a"])


@given(st.lists(st.tuples(models, specs), max_size=5))
def test_names_are_distinct_and_inert_whatever_was_asked(runs: list[tuple[str, Any]]) -> None:
    names = distinct_names([NamedRun(model, RunDir("x"), spec) for model, spec in runs])
    assert len({*names}) == len(runs)
    assert all(name.isprintable() for name in names)
