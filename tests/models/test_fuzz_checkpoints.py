"""Mutated checkpoints, heads and lists: nothing but the package's own errors comes out, in bounds.

`python -m tests.models.test_fuzz_checkpoints SECONDS SEED` goes on for longer, and keeps a find.
"""

import io
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from tests.fuzz.budget import SEED, seconds
from tests.fuzz.mutate import mutated, mutated_json
from tuiprobe.catalog.class_names import read_classes
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.head_files import read_head, read_templates
from tuiprobe.models.load import load_encoder
from tuiprobe.models.weights import read_checkpoint

SECONDS = seconds("checkpoints")
SLOWEST = 5.0
MEMORY = 2**30
"""What all inputs together, none of which holds a megabyte, may ask for."""

TINY = "timm:test_vit.r160_in1k"

Case = tuple[str, bytes, Callable[[Path], object]]


def states() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator)
    return {"module.fc.weight": weight, "module.fc.bias": weight[:, 0], "module.n": torch.arange(2)}


def tiny_state() -> dict[str, Tensor]:
    import timm

    state: dict[str, Tensor] = timm.create_model(TINY.partition(":")[2]).state_dict()
    return state


def saved(content: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def scripted() -> bytes:
    model = nn.Sequential(OrderedDict(fc=nn.Linear(4, 3)))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(model, torch.zeros(1, 4)), buffer)
    return buffer.getvalue()


def inside(content: bytes, draws: random.Random) -> bytes:
    """Returns an archive with one of its entries mutated, and right checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = draws.choice([n for n in entries if n.endswith("/data.pkl")] * 4 + list(entries))
    entries[name] = mutated(entries[name], draws)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def safetensors_header(content: bytes, draws: random.Random) -> bytes:
    """Returns a safetensors file with its header changed, and its length right."""
    (length,) = struct.unpack("<Q", content[:8])
    header = mutated_json(content[8 : 8 + length], draws)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def reshaped(state: dict[str, Tensor], draws: random.Random) -> bytes:
    """Returns a model's state with tensors of other shapes, types, names and values."""
    state = dict(state)
    for _ in range(draws.choice((1, 1, 2, 5))):
        name = draws.choice(list(state))
        tensor = state[name]
        change = draws.randrange(9)
        if change == 0:
            state[name] = tensor.flatten()
        elif change == 1:
            state[name] = tensor[None]
        elif change == 2:
            state[name] = torch.empty(draws.choice([(), (0,), (7, 0), (1,), (3, 5, 2), (2,) * 9]))
        elif change == 3 and tensor.ndim:
            state[name] = tensor[: draws.randrange(len(tensor) + 1)]
        elif change == 4:
            kinds = (torch.int64, torch.bool, torch.complex64, torch.float16, torch.float8_e4m3fn)
            state[name] = tensor.float().to(draws.choice(kinds))
        elif change == 5:
            state[name] = torch.full(tensor.shape, float(draws.choice((0, 1, 3e38))))
        elif change == 6:
            del state[name]
        elif change == 7:
            words = ("", ".", "visual", "backbone.", "model.", "\u202e", "x" * 500)
            state[draws.choice(words) + name] = state.pop(name)
        else:
            other = draws.choice(list(state))
            state[name] = state[other]
        if not state:
            break
    return saved(state)


def cases(seed: int) -> Iterator[Case]:
    """Returns inputs without end, each with the file name and the reader that is asked."""
    draws, state, whole = random.Random(seed), states(), tiny_state()
    checkpoints: list[tuple[str, bytes, list[Callable[[bytes, random.Random], bytes]]]] = [
        ("w.pt", saved({"epoch": 1, "state_dict": state}), [mutated, inside, inside]),
        ("w.bin", saved(state, legacy=True), [mutated]),
        ("s.pt", scripted(), [mutated, inside, inside]),
        ("w.safetensors", save({k: v.clone() for k, v in state.items()}),
         [mutated, safetensors_header]),
    ]  # fmt: skip
    texts = [("c.txt", b"cat\nfire truck\n", read_classes), ("t.txt", b"a {}\n", read_templates)]
    while True:
        kind = draws.randrange(40)
        if kind == 0:
            yield (
                "tiny.pt",
                reshaped(whole, draws),
                lambda path: load_encoder(TINY, checkpoint=path),
            )
        elif kind <= 3:
            name, content, reader = draws.choice(texts)
            yield name, mutated(content, draws), reader
        else:
            name, content, ways = draws.choice(checkpoints)
            altered = draws.choice(ways)(content, draws)
            yield name, altered, draws.choice((read_checkpoint, partial(read_head, width=4)))


def attempt(case: Case, folder: Path) -> str:
    """Returns what went wrong with one input; empty if nothing did."""
    name, content, reader = case
    path = folder / name
    path.write_bytes(content)
    start = time.process_time()
    try:
        reader(path)
    except TuiprobeError as error:
        if "\n" in str(error):
            return f"several lines: {error!s}"
    except Exception:
        return traceback.format_exc()
    took = time.process_time() - start
    return f"{took:.1f} s" if took > SLOWEST else ""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_mutated_inputs_end_in_the_packages_own_errors() -> None:
    """A process of its own, as its memory is limited."""
    words = [sys.executable, "-m", "tests.models.test_fuzz_checkpoints", str(SECONDS), str(SEED)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def main(seconds: float, seed: int) -> int:
    """Attacks for a while within bounded memory; keeps an input that fails, and returns 1."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="finds-"))
    (folder / "whole.pt").write_bytes(saved(tiny_state()))
    load_encoder(TINY, checkpoint=folder / "whole.pt")  # imports all before memory is limited
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    end = time.monotonic() + seconds
    for done, case in enumerate(cases(seed)):
        if wrong := attempt(case, folder):
            print(f"input {done} of seed {seed}, kept as {folder / case[0]}: {wrong}", flush=True)
            return 1
        if time.monotonic() > end:
            break
    print(f"{done:,} inputs in {seconds:.0f} s")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
