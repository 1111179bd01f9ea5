"""Checkpoints that were made or broken to deceive: refused in a sentence, in time and memory."""

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.models import hostile
from tuiprobe.errors import WeightsError
from tuiprobe.models.loaders.checkpoints import load_into, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")

SECONDS = 8
MEMORY_MB = 512

_READ_ALL = """
import json, resource, signal, sys, time
from pathlib import Path
import torch
from tuiprobe.errors import WeightsError
from tuiprobe.models.loaders.checkpoints import read_checkpoint

def stop(number, frame):
    raise KeyboardInterrupt

held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + {memory} * 2**20,) * 2)
signal.signal(signal.SIGPROF, stop)
answers = {{}}
for path in sys.argv[1:]:
    signal.setitimer(signal.ITIMER_PROF, {seconds})
    start = time.process_time()
    try:
        read_checkpoint(Path(path))
        answer = "read"
    except WeightsError as error:
        answer = str(error)
    except BaseException as error:
        answer = f"not one sentence: {{type(error).__name__}} {{error}}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    answers[Path(path).name] = [answer, time.process_time() - start]
print(json.dumps(answers))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux alone")
@pytest.mark.timeout(900)
@pytest.mark.slow
def test_bombs_end_in_time_and_memory(tmp_path: Path) -> None:
    """One process with little memory reads all."""
    for name, (write, _) in hostile.BOMBS.items():
        write(tmp_path / name)
    code = _READ_ALL.format(memory=MEMORY_MB, seconds=SECONDS)
    words = [sys.executable, "-c", code, *(str(tmp_path / name) for name in hostile.BOMBS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    for name, (_, cause) in hostile.BOMBS.items():
        message, seconds = answers[name]
        assert cause in message, name
        assert "\n" not in message
        assert seconds < SECONDS, name


def test_every_checksum_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"state_dict": {"w": torch.ones(64)}, "optimizer": {"m": torch.ones(64)}}, path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if "/data/" in e.filename]
    assert len(entries) == 2
    torch.serialization.set_crc32_options(False)  # a file without checksums is read
    try:
        torch.save({"w": torch.ones(3)}, tmp_path / "without.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(tmp_path / "without.pt")["w"], torch.ones(3))
    values = torch.ones(64).numpy().tobytes()
    places = [whole.index(values), whole.rindex(values)]
    for place in places:  # of the weights, and of what is not loaded
        path.write_bytes(whole[: place + 2] + b"\x00" + whole[place + 3 :])
        with pytest.raises(WeightsError, match=r"w\.pt cannot be read .*CRC-32"):
            read_checkpoint(path)


KINDS: dict[str, tuple[Callable[[], Tensor], str]] = {
    "meta": (lambda: torch.zeros(3, device="meta"), "device meta"),
    "sparse": (lambda: torch.eye(3).to_sparse(), "a sparse tensor"),
    "csr": (lambda: torch.eye(3).to_sparse_csr(), "a sparse tensor"),
    "quantised": (
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "a quantised tensor",
    ),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2)]), "a nested tensor"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_other_kinds_are_named(kind: str, tmp_path: Path) -> None:
    make, name = KINDS[kind]
    torch.save({"state_dict": {"fine": torch.ones(2), "odd": make()}}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=rf"w\.pt holds .*{name}.* \(odd\); save it") as error:
        read_checkpoint(tmp_path / "w.pt")
    assert error.value.exit_code == 3


def raw(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("legacy", [False, True])
def test_what_torch_reads_is_read_alike(legacy: bool, tmp_path: Path) -> None:
    """Every type, parameters, views, shared data, empty and scalar tensors."""
    base = torch.randn(4, 6)
    state: dict[str, Tensor] = {
        "parameter": nn.Parameter(torch.randn(3, 2)),
        "view": base[1:, ::2],
        "shared": base,
        "transposed": base.t(),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "single": torch.ones(1).expand(1, 1),
    }
    newer = () if legacy else (torch.uint16, torch.float8_e4m3fn, torch.float8_e5m2)
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.complex128),
        *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
        *newer,
    ):
        state[str(dtype)] = torch.arange(4).to(dtype)
    content = {"epoch": 3, "lr": 0.1, "tags": {"a"}, "shape": torch.Size([2]), "state_dict": state}
    path = tmp_path / "w.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    loaded = read_checkpoint(path)
    expected = torch.load(path, weights_only=True)["state_dict"]
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].stride() == tensor.stride()
        assert raw(loaded[name]) == raw(tensor)
    assert loaded["view"].untyped_storage().data_ptr() == loaded["shared"].data_ptr()


@pytest.mark.parametrize("legacy", [False, True])
def test_negative_and_conjugate_views_keep_their_sign(legacy: bool, tmp_path: Path) -> None:
    numbers = torch.randn(3, 4, dtype=torch.complex64)
    state = {
        "negative": torch._neg_view(torch.randn(3, 2)),
        "parameter": nn.Parameter(torch._neg_view(torch.randn(3, 2))),
        "conjugate": numbers.conj(),
        "part": torch.randn(3, 4, dtype=torch.complex64).conj().imag,
        "both": torch._neg_view(numbers.conj()),
        "plain": numbers,
    }
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    loaded = read_checkpoint(tmp_path / "w.pt")
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name
        assert not loaded[name].is_neg()
        assert not loaded[name].is_conj()
    model = nn.Linear(2, 3)
    model.weight = state["parameter"]
    torch.jit.script(model).save(str(tmp_path / "w.pt"))
    assert torch.equal(read_checkpoint(tmp_path / "w.pt")["weight"], model.weight)


def norm() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize(
    ("dtype", "fits"),
    [
        *[(d, True) for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)],
        *[(d, False) for d in (torch.int64, torch.int8, torch.uint8, torch.bool)],
        *[(d, False) for d in (torch.complex64, torch.float8_e4m3fn)],
    ],
)
def test_weights_change_their_precision_and_nothing_else(dtype: torch.dtype, fits: bool) -> None:
    target = norm()
    state = dict(norm().state_dict())
    state["0.weight"] = state["0.weight"].to(dtype)
    if fits:
        load_into(target, state, source="w.pt", target="net")
        assert torch.equal(target.state_dict()["0.weight"], state["0.weight"].float())
        return
    before = {k: v.clone() for k, v in target.state_dict().items()}
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(WeightsError, match=rf"0\.weight is {kind} in the file, float32 in the mo"):
        load_into(target, state, source="w.pt", target="net")
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


def test_whole_numbers_keep_their_values() -> None:
    state = dict(norm().state_dict())
    for good in (torch.tensor(7, dtype=torch.int32), torch.tensor(7.0)):
        target = norm()
        load_into(target, {**state, "1.num_batches_tracked": good}, source="w", target="net")
        assert int(target.state_dict()["1.num_batches_tracked"]) == 7
    for bad in (torch.tensor(7.5), torch.tensor(float("nan")), torch.tensor(7j)):
        with pytest.raises(WeightsError, match=r"1\.num_batches_tracked is .*, int64 in the model"):
            load_into(norm(), {**state, "1.num_batches_tracked": bad}, source="w", target="net")


def test_safetensors_that_lie_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for entry in (
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**40]},
        {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 16]},
    ):
        text = json.dumps({"w": entry}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
        with pytest.raises(WeightsError, match=r"w\.safetensors cannot be read"):
            read_checkpoint(path)
