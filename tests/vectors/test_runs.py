"""Runs of stored vectors: figures by NumPy, resuming, labels, targets, warnings, names."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vectors.conftest import Run, planted
from tuiprobe.datasets.vectors import row_set as sampling
from tuiprobe.datasets.vectors.row_set import sampled_rows
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.engine.extract import Extraction
from tuiprobe.measure.engine.stopping import Interrupted
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.verify import verify
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Report
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report

pytestmark = pytest.mark.slow

FIGURES = ("statistics.safetensors", "features/rows/images.safetensors", "rows/rows.safetensors")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes batches of 64 rows and a sample of 500, so that small matrices have many shards."""
    monkeypatch.setattr(sampling, "BATCH_ROWS", 64)
    monkeypatch.setattr(sampling, "SAMPLED_ROWS", 500)


def saved(folder: Path, x: np.ndarray, name: str = "x.npy") -> Path:
    np.save(folder / name, x)
    return folder / name


def statistics(directory: RunDir, name: str = "rows") -> dict[str, np.ndarray]:
    arrays, _ = read_arrays(directory.statistics_file)
    prefix = f"{name}/embedding/"
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


@pytest.mark.usefixtures("small_blocks")
def test_moments_and_top_rows_are_of_all_rows(tmp_path: Path, measure: Run) -> None:
    x = planted(3_000, 24, dtype="float16")
    run = measure(saved(tmp_path, x)).directory
    result, wide = statistics(run), x.astype(np.float64)
    mean, sigma = wide.mean(axis=0), wide.std(axis=0)
    z = (wide - mean) / sigma
    assert (result["count"] == 3_000).all()
    assert np.abs(result["mean"] - mean).max() <= 2e-6 * sigma.max()
    assert np.allclose(result["var"], sigma**2, rtol=2e-6)
    assert np.allclose(result["kurtosis"], (z**4).mean(axis=0), rtol=1.3e-5)
    skewness = np.abs(result["skewness"] - (z**3).mean(axis=0))
    assert (skewness <= 9.8e-6 * (np.abs(z) ** 3).mean(axis=0)).all()
    order = np.lexsort((np.arange(3_000)[:, None].repeat(24, 1), -wide), axis=0)
    assert np.array_equal(result["largest_sample_ids"], order[:32].T)


@pytest.mark.usefixtures("small_blocks")
def test_other_figures_are_of_a_seeded_sample_and_say_so(tmp_path: Path, measure: Run) -> None:
    x = planted(3_000, 24)
    run = measure(saved(tmp_path, x)).directory
    reader, report = RunReader(run), read_report(run)
    ids = reader.features("rows")["ids"]
    assert np.array_equal(ids, sampled_rows(3_000, seed=0))
    assert (np.diff(ids) > 0).all()
    assert np.array_equal(reader.features("rows")["features"], x[ids])
    (data,) = report.data
    assert (data.images, data.measured, data.sampled) == (3_000, 3_000, 500)
    assert statistics(run)["sample_ids"].size == 500
    assert any("seeded sample of 500" in warning for warning in report.warnings)
    figures = [figure for part in report.parts for figure in part.figures]
    assert {getattr(figure.figure, "n", 500) for figure in figures if figure.id == "kurtosis"} == {
        500
    }


def test_a_sample_is_fair_and_of_the_seed_alone() -> None:
    first, second = sampled_rows(200_000, 0), sampled_rows(200_000, 1)
    assert len(first) == len(set(first.tolist())) == 50_000
    assert not np.array_equal(first, second)
    counts = np.bincount(first // 20_000)
    # Hypergeometric: 50,000 of 200,000, tenths; five standard deviations.
    assert np.abs(counts - 5_000).max() < 5 * np.sqrt(50_000 * 0.1 * 0.9 * 0.75)


def test_no_row_becomes_a_line(tmp_path: Path, measure: Run) -> None:
    run = measure(saved(tmp_path, planted(2_000, 8))).directory
    assert not run.samples_file.read_text()
    assert max(len(file.read_text()) for file in (run.plan_file, run.measured_file)) < 10_000
    assert not (run.path / "thumbs").exists()


@pytest.mark.usefixtures("small_blocks")
def test_interrupted_and_resumed_equals_undisturbed(tmp_path, measure, monkeypatch):
    source = saved(tmp_path, planted(2_000, 12))
    whole = measure(source, "whole").directory
    measured = 0
    once = Extraction.publish

    def stop_after_three(self: Extraction) -> None:
        nonlocal measured
        if measured == 3:
            raise Interrupted("a test")
        measured += 1
        once(self)

    with monkeypatch.context() as patch:
        patch.setattr(Extraction, "publish", stop_after_three)
        half = measure(source, "resumed")
    assert not half.complete
    assert read_report(half.directory).partial
    assert all(finding.sound for finding in verify(half.directory))
    shard = half.directory.shard_file("rows", 1)
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(bytes(content))
    resumed = measure(source, "resumed")
    assert resumed.complete
    assert resumed.resumed == 2 * 64
    for name in FIGURES:
        first, second = (
            read_arrays(directory.at(name))[0] for directory in (whole, resumed.directory)
        )
        assert first.keys() == second.keys()
        assert all(first[field].tobytes() == second[field].tobytes() for field in first)
    assert verify(resumed.directory)
    assert all(finding.state == "whole" for finding in verify(resumed.directory))


def test_a_moved_file_resumes_and_a_changed_one_is_refused(tmp_path: Path, measure: Run) -> None:
    x = planted(300, 8)
    source = saved(tmp_path, x)
    run = measure(source).directory
    moved = source.rename(tmp_path / "y.npy")
    assert run_cli(["verify", str(run.path)]) == 0
    assert run_cli(["reprobe", str(run.path)]) == 0
    events: list[Any] = []
    again = measure(moved, listen=events.append)
    assert again.resumed == 300
    assert any("comparing 300 rows" in event.message for event in events)
    status = moved.stat()
    x[150] += 1  # neither among the first rows nor among the last
    saved(tmp_path, x, "y.npy")
    os.utime(moved, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` and `rsync -t` do
    with pytest.raises(DataError, match="rows 0 to 299 of"):
        measure(moved)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_that_are_not_finite_are_counted_and_listed(tmp_path, measure, dtype):
    x = planted(400, 8, dtype=dtype)
    x[7, 3] = np.nan
    x[399] = np.inf
    run = measure(saved(tmp_path, x)).directory
    (data,) = read_report(run).data
    assert (data.measured, data.nonfinite) == (400, 2)
    assert data.nonfinite_images == ("row 7", "row 399")
    good = np.delete(x, [7, 399], axis=0).astype(np.float64)
    assert np.allclose(statistics(run)["mean"], good.mean(axis=0), atol=1e-6)
    assert (statistics(run)["count"] == 398).all()


def test_rows_of_zeros_are_degenerate(tmp_path: Path, measure: Run) -> None:
    x = planted(300, 8)
    x[5] = 0
    run = measure(saved(tmp_path, x)).directory
    assert int(statistics(run)["degenerate"]) == 1
    message = "rows: 1 of 300 rows contain only zeros, as if they were never written"
    assert warned(read_report(run), message)


def test_equal_vectors_and_a_sample_of_all(tmp_path: Path, measure: Run) -> None:
    np.save(tmp_path / "x.npy", np.ones((80, 8), np.float32))
    report = read_report(measure(tmp_path / "x.npy", sample=0).directory)
    assert any("all 80 vectors are equal" in warning for warning in report.warnings)
    with pytest.raises(UsageError, match="--sample is about images"):
        measure(tmp_path / "x.npy", sample=10)


def test_sets_of_which_one_is_normalised_are_warned_of(tmp_path: Path, measure: Run) -> None:
    x = planted(300, 8)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    other, alike = saved(tmp_path, x[:100], "other.npy"), saved(tmp_path, unit[:100], "alike.npy")
    own = saved(tmp_path, unit.astype(np.float32))
    report = read_report(measure(own, "a", target_embeddings=(str(alike), str(other))).directory)
    assert warned(report, "the vectors of rows, alike have unit norm and those of other do not")
    report = read_report(measure(own, "b", target_embeddings=(str(alike),)).directory)
    assert not warned(report, "do not")


def test_nothing_finite_ends_the_run(tmp_path: Path, measure: Run) -> None:
    with pytest.raises(DataError, match="no finite vector"):
        measure(saved(tmp_path, np.full((10, 8), np.nan, np.float32)))


def test_target_vectors_are_sets_without_labels(tmp_path: Path, measure: Run) -> None:
    own, target = saved(tmp_path, planted(300, 8)), saved(tmp_path, planted(200, 8, 5), "my.npy")
    run = measure(own, target_embeddings=(str(target), str(target))).directory
    reader = RunReader(run)
    assert [target.name for target in reader.targets] == ["my", "my-2"]
    assert [len(features.features) for features in reader.target_sets] == [200, 200]
    again = measure(own, target_embeddings=(str(target),)).directory
    assert again.read_key() == run.read_key()  # a target changes nothing that was measured
    np.save(tmp_path / "wide.npy", planted(10, 9))
    with pytest.raises(DataError, match="same encoder"):
        measure(own, "other", target_embeddings=(str(tmp_path / "wide.npy"),))


def test_data_without_labels_are_in_every_figure_once(tmp_path: Path, measure: Run) -> None:
    run = measure(saved(tmp_path, planted(300, 64))).directory
    assert [data.name for data in RunReader(run).targets] == ["rows"]
    for part in read_report(run).parts:
        names = [(figure.id, figure.data, figure.place) for figure in part.figures]
        assert len(names) == len(set(names)), part.probe


def warned(report: Report, word: str) -> bool:
    return any(word in warning for warning in report.warnings)


def test_centred_and_whitened_vectors_are_recognised(tmp_path: Path, measure: Run) -> None:
    draws = np.random.default_rng(0)
    mixed = planted(2_000, 16) @ draws.normal(size=(16, 16)) / 4
    centred = mixed - mixed.mean(axis=0)
    u, _, vt = np.linalg.svd(centred, full_matrices=False)
    forms = {
        "plain": mixed,
        "centred": centred,
        "part": centred[:700],
        "whitened": u @ vt * np.sqrt(2_000),
        "unit": mixed / np.linalg.norm(mixed, axis=1, keepdims=True),
    }
    for name, x in forms.items():
        report = read_report(
            measure(saved(tmp_path, x.astype("f2"), f"{name}.npy"), name).directory
        )
        assert warned(report, "mean-centred") == (name in ("centred", "part")), name
        assert warned(report, "whitened") == (name == "whitened"), name
        assert warned(report, "unit norm") == (name == "unit"), name


def test_clip_retrieval_names_rows_by_its_metadata(tmp_path: Path, measure: Run) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = planted(330, 8)
    (tmp_path / "img_emb").mkdir()
    (tmp_path / "metadata").mkdir()
    for number, ids in enumerate(np.array_split(np.arange(330), 11)):
        np.save(tmp_path / "img_emb" / f"img_emb_{number}.npy", x[ids])
        table = pa.table({"image_path": [f"{i:09d}.jpg" for i in ids]})
        pq.write_table(table, tmp_path / "metadata" / f"metadata_{number}.parquet")
    run = measure(tmp_path, id_column="image_path").directory
    samples = RunReader(run).samples["rows"]
    assert all(samples[i].path == f"{i:09d}.jpg" for i in (0, 65, 299, 329))
    pq.write_table(pa.table({"image_path": ["a"]}), tmp_path / "metadata" / "metadata_3.parquet")
    with pytest.raises(DataError, match="do not belong together"):
        measure(tmp_path, "other", id_column="image_path")
    with pytest.raises(DataError, match="no column 'name'"):
        measure(tmp_path, "other", id_column="name")


def test_readers_open_such_a_run(tmp_path, measure, capsys):
    first = measure(saved(tmp_path, planted(300, 8)), "runs/a").directory.path
    second = measure(saved(tmp_path, planted(300, 8, 3), "y.npy"), "runs/b").directory.path
    for words in (
        ["report", str(first)],
        ["verify", str(first)],
        ["runs", "--root", str(first.parent)],
        ["compare", str(first), str(second)],
        ["reprobe", str(first)],
    ):
        assert run_cli(words) == 0, capsys.readouterr().err
    output = capsys.readouterr().out
    assert "row " in (first / "report.html").read_text()
    assert "x on rows" in output


@pytest.mark.skipif("TUIPROBE_REAL_ARRAYS" not in os.environ, reason="real arrays are not here")
def test_a_real_encoder_shows_its_channels(measure: Run) -> None:
    source = Path(os.environ["TUIPROBE_REAL_ARRAYS"]) / "vitl14_openai__things.npy"
    run = measure(source).directory
    shares = statistics(run)["share_sum"]
    assert set(np.argsort(-shares)[:2].tolist()) == {644, 413}
