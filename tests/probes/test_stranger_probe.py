"""Probes of other packages: found, put in order, and alone in what they break."""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, write_run
from tests.probes import strangers
from tuiprobe.choose.calibration.describe import CalibrationOfTheHead as Calibrated
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.probes import BUILT_IN, registry
from tuiprobe.probes.report import make_report
from tuiprobe.results import Report
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report.markdown import markdown

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Returns a function that installs probes: the class of each by its name."""

    def put(*named: tuple[str, str]) -> None:
        points = [
            EntryPoint(name, value if ":" in value else f"{strangers.__name__}:{value}", group)
            for name, value in named
        ]
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
        registry.cache_clear()

    group = "tuiprobe.probes"
    yield put
    registry.cache_clear()


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 8))
    labels = np.arange(80) % 4
    h = (weight[labels] + rng.standard_normal((80, 8))).astype("f4")
    return write_run(tmp_path / "run", {"val": FakeSet(h, labels)}, weight)


def ids() -> list[str]:
    return [one.id for one in registry().probes]


def test_without_strangers_the_built_in_probes_stand_in_their_order(install: Install) -> None:
    install()
    assert ids() == list(BUILT_IN)
    assert registry().faults == ()
    order = [one.id for one in registry().in_order()]
    assert sorted(order) == sorted(BUILT_IN)
    for one in registry().probes:
        assert all(order.index(other) < order.index(one.id) for other in one.after)


def test_its_options_are_those_of_the_spec(install: Install, run: RunDir) -> None:
    install(("early", "Early"))
    spec = run.spec_file.read_json()
    first = make_report(run)
    run.spec_file.write_json({**spec, "probe": ["early.power=2"]})
    second = make_report(run)
    assert second.figure("length").value > first.figure("length").value ** 2
    assert second.probe_key != first.probe_key
    run.spec_file.write_json({**spec, "probe": ["early.power=0"]})
    assert "--probe early.power" in make_report(run).why_not("early")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("FailsInInputs", "KeyError: 'inputs'"),
        ("FailsInCompute", "ZeroDivisionError: compute"),
        ("FailsInDescribe", "IndexError: describe"),
        ("FailsInNamed", "AttributeError: named"),
        ("GivesSomethingElse", "AttributeError"),
    ],
)
def test_a_probe_that_fails_costs_its_own_part_alone(kind, said, install, run):
    install()
    without = make_report(run)
    install(("early", kind), ("length", "MeanLength"))
    report = make_report(run)
    assert report.parts[: len(BUILT_IN)] == without.parts
    assert f"the probe early failed with {said}" in report.why_not("early")
    assert "please report this bug of an unnamed package" in report.why_not("early")
    assert report.part(strangers.Length) is not None
    assert Report.parse(report.to_json().encode(), "memory") == report
    assert said in markdown(report)


def test_a_built_in_probe_that_raises_costs_its_own_part_alone(install, run, monkeypatch, capsys):
    install()
    without = make_report(run)
    monkeypatch.setattr(Calibrated, "compute", strangers.FailsInCompute.compute)
    assert run_cli(["reprobe", str(run.path)]) == 5
    report = Report.read(run.results_file.path)
    failed = report.part_of("calibration")
    assert failed.failed
    cause = "the probe calibration failed with ZeroDivisionError: compute (at tuiprobe."
    assert failed.not_run.reason.startswith(cause)
    assert failed.not_run.remedy == "please report this bug of tuiprobe"
    assert [part for part in report.parts if part != failed] == [
        part for part in without.parts if part.probe != "calibration"
    ]
    output = capsys.readouterr()
    assert output.err.count("error: ") == 1
    assert report.why_not("calibration") in output.err
    assert report.title in output.out


def test_a_damaged_file_ends_the_command(install, run, monkeypatch):
    def refuse(*_: object) -> None:
        raise DamagedFileError("a file is damaged")

    install()
    monkeypatch.setattr(Calibrated, "inputs", refuse)
    assert run_cli(["reprobe", str(run.path)]) == 4


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ([("early", "Refuses")], "'early' of an unnamed package is left out: RuntimeError: not on"),
        ([("early", "Nobody")], "'early' of an unnamed package cannot be loaded: AttributeError"),
        ([("early", "np")], "is a module; it must be a builtins.type"),
        ([("other", "Early")], "'other' of an unnamed package is left out: ValueError: its id"),
        ([("lost", "Lost")], "'lost' is left out: it asks for 'nowhere', which is not installed"),
        ([("outliers", "Early")], "'outliers' of an unnamed package is not used"),
        *(([(name, "Early")], f"{name!r} of") for name in ("my-probe", "Edges", "a.b", "x" * 65)),
        ([("é", "Early")], "lower-case letters, digits and underscores"),
    ],
)
def test_a_probe_that_cannot_be_used_is_left_out_in_one_sentence(installed, said, install, run):
    install(*installed)
    report = make_report(run)
    assert [one.probe for one in report.parts] == list(BUILT_IN)
    (fault,) = registry().faults
    assert said in fault
    assert fault in report.warnings


def test_a_module_that_raises_or_exits_when_it_is_imported_is_left_out(
    install: Install, run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "raising_probe.py").write_text("raise RuntimeError('first\\nsecond')\n")
    (tmp_path / "exiting_probe.py").write_text("import sys\nsys.exit(3)\n")
    install(("early", "raising_probe:Probe"), ("later", "exiting_probe:Probe"))
    report = make_report(run)
    first, second = registry().faults
    assert "'early' of an unnamed package cannot be loaded: RuntimeError: first;" in first
    assert "'later' of an unnamed package cannot be loaded: SystemExit: 3;" in second
    assert {first, second} <= set(report.warnings)


def test_probes_that_wait_for_each_other_are_left_out_and_no_others(install: Install) -> None:
    install(("first", "First"), ("second", "Second"), ("early", "Early"))
    assert ids() == [*BUILT_IN, "early"]
    assert registry().faults == (
        "the probe 'first' is left out: it and another one wait for each other",
        "the probe 'second' is left out: it and another one wait for each other",
    )


def test_of_two_probes_of_one_name_one_is_used(install: Install) -> None:
    install(("early", "Early"), ("early", "FailsInCompute"))
    assert ids() == [*BUILT_IN, "early"]
    (fault,) = registry().faults
    assert fault == "the probe 'early' of an unnamed package is left out: it is installed twice"


def test_nothing_of_a_stranger_is_imported_before_a_run_is_answered(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: RunDir
) -> None:
    install()
    write_results(run, make_report(run))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "marking_probe.py").write_text(
        f"open({json.dumps(str(tmp_path / 'imported'))}, 'w').close()\n"
    )
    install(("early", "marking_probe:Probe"))
    assert run_cli(["report", str(run.path)]) == 0
    assert run_cli(["runs", "--root", str(tmp_path)]) == 0
    assert not (tmp_path / "imported").exists()
    make_report(run)
    assert (tmp_path / "imported").exists()
