"""`reprobe RUN --ablate` against plain algebra, and bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, vouch, write_run
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import DamagedFileError
from tuiprobe.inside.ablation.targeted import Question, TargetedAblation, ablate, parse_question
from tuiprobe.measure.run.arrays import write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import read_manifest, write_manifest
from tuiprobe.probes.intervals import paired_difference

pytestmark = pytest.mark.slow

CLASSES, CHANNELS, N = 6, 16, 5000  # more rows than a block holds


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((CLASSES, CHANNELS))
    labels = rng.integers(0, CLASSES, N)
    h = weight[labels] + 2 * rng.standard_normal((N, CHANNELS))
    h[:, 3] += 4
    return weight.astype("f4"), rng.standard_normal(CLASSES).astype("f4"), h.astype("f4"), labels


@pytest.fixture
def planted(tmp_path: Path) -> RunDir:
    weight, bias, h, labels = arrays()
    answers = np.array([0, 1, 0, -1, -1, 1])
    shift = FakeSet(h[:900], np.where(labels[:900] % 2 == 0, 0, 1), answers=answers)
    bare = FakeSet(h[:50], None)
    sets = {"val": FakeSet(h, labels), "shift": shift, "bare": bare}
    return write_run(tmp_path / "run", sets, weight, bias=bias)


def naive(h: np.ndarray, span: np.ndarray, mode: str, first: np.ndarray) -> np.ndarray:
    h, q = h.astype("f8"), np.linalg.qr(span)[0]
    centre = first.mean(0, dtype="f8") if mode == "mean" else 0
    return h - (h - centre) @ q @ q.T


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("centred", [False, True])
def test_accuracies_are_those_of_plain_algebra(planted: RunDir, mode: str, centred: bool) -> None:
    weight, bias, h, labels = (a.astype("f8") for a in arrays())
    question = Question((3, 5), (0, 2), centred, mode)  # type: ignore[arg-type]
    answer = ablate(planted, question)
    basis = np.linalg.svd(weight - weight.mean(0) if centred else weight)[2]
    span = np.stack([np.eye(CHANNELS)[3], np.eye(CHANNELS)[5], basis[0], basis[2]], axis=1)
    val, shift = answer.sets
    for one, some, truth, groups in (
        (val, h, labels, np.arange(6)),
        (shift, h[:900], labels[:900] % 2, np.array([0, 1, 0, -1, -1, 1])),
    ):
        allowed = np.where(groups >= 0, 0, -np.inf)
        before = groups[(some @ weight.T + bias + allowed).argmax(1)] == truth
        logits = naive(some, span, mode, h) @ weight.T + bias + allowed
        after = groups[logits.argmax(1)] == truth
        assert one.n == len(some)
        assert one.before.top1 == pytest.approx(before.mean(), abs=1.5 / one.n)
        assert one.after.top1 == pytest.approx(after.mean(), abs=1.5 / one.n)
        assert one.lost == pytest.approx((before & ~after).sum(), abs=1.5)
        assert one.difference.value == pytest.approx((one.gained - one.lost) / one.n)
        assert one.before.low < one.before.top1 < one.before.high
    assert [one.name for one in answer.not_run] == ["bare"]
    assert "no labels" in answer.not_run[0].reason


def test_shuffled_parts_are_those_of_other_images(tmp_path: Path) -> None:
    """Accuracy falls to that of a channel which tells nothing, and the answer is repeatable."""
    labels = np.arange(3000) % 2
    h = np.zeros((3000, 4))
    h[:, 1] = np.where(labels == 0, 1, -1)
    weight = np.array([[0, 1, 0, 0], [0, -1, 0, 0]])
    run = write_run(tmp_path / "run", {"val": FakeSet(h.astype("f4"), labels)}, weight)
    (one,) = ablate(run, Question((1,), (), replaced_by="shuffle")).sets
    assert one.before.top1 == 1
    assert one.after.top1 == pytest.approx(0.5, abs=0.04)  # 4 sigma of 3,000 images
    assert ablate(run, Question((1,), (), replaced_by="shuffle")).sets == (one,)


def test_images_that_are_not_finite_are_left_out_and_zeros_count_as_wrong(tmp_path: Path) -> None:
    weight, _, h, labels = arrays()
    labels = (h @ weight.T).argmax(1)  # all right
    h[:100, 2] = np.nan
    h[100:200] = 0
    run = write_run(tmp_path / "run", {"val": FakeSet(h, labels)}, weight)
    for mode in ("zero", "mean"):
        (one,) = ablate(run, Question((3,), (), False, mode)).sets  # type: ignore[arg-type]
        assert (one.n, one.nonfinite) == (N - 100, 100)
        assert one.before.top1 == pytest.approx((N - 200) / (N - 100))
        assert 0.5 < one.after.top1 < one.before.top1


def test_an_image_of_which_nothing_is_left_counts_as_wrong(tmp_path: Path) -> None:
    weight, labels = np.array([[0, 1, 0], [0, -1, 0]]), np.arange(100) % 2
    h = np.where(labels == 0, 1, -1)[:, None] * [[0, 1, 0]]
    run = write_run(tmp_path / "run", {"val": FakeSet(h.astype("f4"), labels)}, weight)
    (one,) = ablate(run, Question((1,), (), False, "zero")).sets
    assert (one.before.top1, one.after.top1) == (1, 0)


def test_runs_without_a_head_or_with_damage_say_so(tmp_path: Path) -> None:
    weight, _, h, labels = arrays()
    bare = write_run(tmp_path / "bare", {"val": FakeSet(h, labels)}, None)
    with pytest.raises(DataError, match=r"has no head.*fake brings no head"):
        ablate(bare, Question((3,), ()))
    run = write_run(tmp_path / "run", {"val": FakeSet(h, labels)}, weight)
    vouch(run)
    path, manifest = run.features_file("val"), read_manifest(run.path)
    assert manifest is not None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DamagedFileError, match="checksum"):
        ablate(run, Question((3,), ()))
    path.write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises(DamagedFileError, match="damaged"):
        ablate(run, Question((3,), ()))
    narrow = {"features": h[:, 1:], "ids": np.arange(N)}
    write_arrays(path, narrow, {})
    with pytest.raises(DamagedFileError, match=r"has no manifest\.json"):
        ablate(run, Question((3,), ()))
    write_manifest(run.path, manifest)
    with pytest.raises(DamagedFileError, match=r"is not the one in manifest\.json"):
        ablate(run, Question((3,), ()))
    vouch(run)
    with pytest.raises(DamagedFileError, match="damaged"):
        ablate(run, Question((3,), ()))
    path.unlink()
    path.path.symlink_to("/etc/passwd")
    with pytest.raises(DamagedFileError, match="cannot read"):
        ablate(run, Question((3,), ()))


def test_paired_intervals_cover_the_difference() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        lost, gained, _same = rng.multinomial(80, [0.15, 0.05, 0.8])
        change = paired_difference(int(gained), int(lost), 80)
        covered += change.low <= -0.1 <= change.high
    assert 930 <= covered <= 975
    none = paired_difference(0, 0, 10)
    assert none.low < 0 == none.value < none.high


def test_the_command_prints_lines_or_json_and_needs_no_torch(planted: RunDir) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        code = (
            "import sys\nfrom tuiprobe.show.cli.app import run_cli\n"
            f"code = run_cli(['reprobe', {str(planted.path)!r}, *{more!r}])\n"
            "assert 'torch' not in sys.modules\nsys.exit(code)"
        )
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    done = run("--ablate", "channel:3,direction:1", "--json")
    assert done.returncode == 0, done.stderr
    answer = TargetedAblation.model_validate_json(done.stdout)
    assert (answer.channels, answer.directions, answer.replaced_by) == ((3,), (1,), "mean")
    plain = run("--ablate", "channel:3", "--ablate", "direction:1")
    assert plain.stdout.splitlines() == answer.lines()
    wrong = run("--ablate", "channel:99")
    assert wrong.returncode == 2
    assert "there are 0 to 15" in wrong.stderr
    assert run("--json").returncode == 2
    assert run("--ablate", "channel:3", "--ablate-mode", "median").returncode == 2


@pytest.mark.parametrize("text", ["", "17", "channel:", "channel:-1", "chanel:3", "direction:x"])
def test_what_is_no_channel_and_no_direction_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither channel:NUMBER nor direction:NUMBER"):
        parse_question([text])
