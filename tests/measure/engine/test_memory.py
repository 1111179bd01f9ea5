"""Memory stays flat: only the final representations grow with the number of images."""

import pytest

from tests.measure.engine.conftest import job, write_pictures

FEW, MANY = 50, 250  # a tensor of one image has 300 kB
WIDTH = 512  # of the small encoder's representation, at most


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_images(prepared, small_checkpoint, tmp_path):
    data = tmp_path / "data"
    write_pictures(data, MANY, classes=10)

    def peak(images: int) -> int:
        more = ("--sample", str(images), "--batch-size", "25", "--layers", "layer*")
        words, file = job(small_checkpoint, data, tmp_path / str(images), *more), tmp_path / "peak"
        done = prepared.run(*words, cwd=tmp_path, before=[("tests.hooks:write_peak", [str(file)])])
        assert done.returncode == 0, done.stderr
        return int(file.read_text())

    features = MANY * WIDTH * 4
    # The representations are held twice while shards are joined, and per-image figures of each tap
    # are 40 bytes; the rest of the allowance is what an allocator scatters.
    many, few = peak(MANY), peak(FEW)
    assert many - few < 3 * features + 24 * 2**20
