"""A stranger's source and loader work from the command line; broken ones disturb nobody."""

import json
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import Typed, install, register
from tuiprobe.choose.robustness.baselines import family_of
from tuiprobe.datasets.load import load_concepts, load_dataset, load_suite
from tuiprobe.datasets.registry import SOURCES, DataSource
from tuiprobe.datasets.suites import read_suite
from tuiprobe.errors import DataError, RunError, UsageError
from tuiprobe.measure.run.records import SetRecord
from tuiprobe.models import load_encoder
from tuiprobe.models.registry import LOADERS, foreign_models, model_forms
from tuiprobe.plugins import PluginError, Registry
from tuiprobe.request import make_spec
from tuiprobe.show.cli.headless import read_models

pytestmark = pytest.mark.slow

SMALL = ("--batch-size", "12", "--threads", "1", "--workers", "0", "--offline")


def test_listed_where_the_built_in_ones_are(stranger: Path, typed: Typed) -> None:
    rows = {row["name"] for row in json.loads(typed(stranger, "models", "--json").stdout)}
    assert {"toy:8", "toy:16", "mini_clip"} <= rows
    gone = typed(None, "--headless", "--model", "toy:8", "--data", "bands:36", *SMALL)
    assert gone.returncode == 2
    assert "unknown data source 'bands:36'" in gone.stderr
    unknown = typed(stranger, "--headless", "--data", "nonsense:1")
    assert unknown.returncode == 2
    assert "imagefolder:DIR" in unknown.stderr
    assert "bands:… (package stranger 1.0)" in unknown.stderr
    checked = typed(stranger, "doctor", "--json")
    result = {item["name"]: item for item in json.loads(checked.stdout)["checks"]}
    assert result["plugins"]["status"] == "pass"
    assert "bands, toy (package stranger 1.0)" in result["plugins"]["detail"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder on this process's path with the stranger and a few worse packages."""
    root = install(tmp_path / "site")
    (root / "worse.py").write_text(
        "import tuiprobe.datasets.registry as d, tuiprobe.models.registry as m\n"
        "def fail(*_): raise KeyError('inside')\n"
        "SOURCE = d.DataSource(forms=('failing:X',), open=fail, concepts=fail)\n"
        "EMPTY = d.DataSource(forms=('empty:X',), open=lambda rest, base: object())\n"
        "LOADER = m.Loader(forms=('failing:X',), load=fail, models=fail)\n"
        "NUMBER = m.Loader(forms=('number:X',), load=lambda wanted: 3)\n"
        "NEITHER = 7\n"
    )
    groups = {
        "tuiprobe.datasets": {
            "failing": "worse:SOURCE", "empty": "worse:EMPTY", "neither": "worse:NEITHER",
            "gone": "nowhere_at_all:SOURCE", "imagefolder": "worse:SOURCE", "twice": "worse:SOURCE",
        },
        "tuiprobe.models": {
            "failing": "worse:LOADER", "number": "worse:NUMBER", "gone": "nowhere_at_all:LOADER",
        },
        "tuiprobe.probes": {"gone": "nowhere_at_all:PROBE"},
    }  # fmt: skip
    register(root, "worse", "0.1", groups)
    register(root, "other", "2", {"tuiprobe.datasets": {"twice": "worse:SOURCE"}})
    monkeypatch.syspath_prepend(root)
    for name in ("worse", "stranger"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return root


def test_a_broken_package_is_named_and_disturbs_no_other(site: Path) -> None:
    with pytest.raises(PluginError, match=r"'gone' of package worse 0\.1 cannot be loaded: Module"):
        load_suite("gone:x")
    with pytest.raises(
        PluginError, match=r"package worse 0\.1 is a int; it must be a .*DataSource"
    ):
        load_suite("neither:x")
    with pytest.raises(DataError, match=r"'failing:x' failed in package worse 0\.1: KeyError"):
        load_dataset("failing:x")
    with pytest.raises(DataError, match=r"package worse 0\.1: KeyError: 'inside'"):
        load_concepts("failing:x")
    with pytest.raises(DataError, match=r"a object is no tuiprobe\.datasets\.Dataset"):
        load_dataset("empty:x")
    with pytest.raises(RunError, match=r"failing:x failed in package worse 0\.1: KeyError"):
        load_encoder("failing:x")
    with pytest.raises(RunError, match=r"package worse 0\.1 returned a int"):
        load_encoder("number:3")
    with pytest.raises(PluginError, match=r"'gone' of package worse 0\.1 cannot be loaded"):
        make_spec("m", "d", {"probe": ["gone.x=2"]})
    with pytest.raises(UsageError, match="brings its weights"):
        load_encoder("toy:8", checkpoint="w.pt")
    assert len(load_suite("bands:6").sets["bands"].samples) == 6
    assert load_encoder("toy:8").width == 8
    models, problems = foreign_models()
    assert models == ("toy:8", "toy:16")
    assert ["'failing'" in item or "'gone'" in item for item in problems] == [True, True]
    assert "number:… (package worse 0.1)" in model_forms()


def test_a_name_is_claimed_once(site: Path) -> None:
    with pytest.raises(UsageError, match=r"by package other 2 and package worse 0\.1; uninstall"):
        load_suite("twice:x")
    (message,) = SOURCES.warnings(["imagefolder", "hf"])
    assert "'imagefolder' of package worse 0.1 is not used" in message
    result = SOURCES.get("imagefolder")
    assert result is SOURCES.builtin("imagefolder")
    with pytest.raises(DataError, match=r"imagefolder: .* does not exist"):
        load_dataset("imagefolder:nowhere")


def test_no_file_names_foreign_code(site: Path, tmp_path: Path) -> None:
    """Suites, lists of models and the records of a run: the package is not even imported."""
    suite, models = tmp_path / "suite.toml", tmp_path / "models.txt"
    for text in ('id = "bands:6"', 'id = "miniature:val"\nconcepts = "failing:x"'):
        suite.write_text(text)
        with pytest.raises(DataError, match=r"a suite names folders|is no concept set"):
            read_suite(suite)
    for text in ("toy:8", "py:os:getcwd"):
        models.write_text(text)
        with pytest.raises(UsageError, match="runs code"):
            read_models(str(models))
    record = SetRecord(
        name="v", source="bands:6", found=6, planned=6, shards=1, classes=(), notes=(), key="k"
    )
    assert family_of([record]) is None
    assert {item.name for item in LOADERS.foreign()} == {"toy", "failing", "number", "gone"}
    assert SOURCES.package_of("bands") == "package stranger 1.0"
    assert not {"stranger", "worse"} & sys.modules.keys()


def test_an_entry_point_that_ends_the_process_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "leaver.py").write_text("raise SystemExit(0)\n")
    register(tmp_path, "leaver", "3", {"tests.group": {"leaver": "leaver:X"}})
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("tests.group", "source", DataSource, {})
    with pytest.raises(PluginError, match="package leaver 3 cannot be loaded: SystemExit"):
        registry.get("leaver")
