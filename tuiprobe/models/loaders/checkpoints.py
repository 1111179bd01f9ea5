"""Checkpoint files: reads them without running code, and loads all weights or none.

Models without published weights get random ones from a fixed seed.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tuiprobe.datasets.torchfiles.archives import DAMAGED, open_torch_file
from tuiprobe.datasets.torchfiles.stored import UnsafePickleError
from tuiprobe.errors import WeightsError
from tuiprobe.files import UNFIT, DamagedFileError, open_regular, parse_json
from tuiprobe.limits import ARRAY_HEADER_BYTES, BUILT_CLASSES
from tuiprobe.models.loaders.published_weights import quiet
from tuiprobe.models.loaders.wrappers import unwrap, without_prefix
from tuiprobe.plaintext import first_line, first_names

StateDict = dict[str, Tensor]


class Checkpoint(StateDict):
    """The tensors of a checkpoint file by name.

    Args:
        tensors: The tensors.
        entries: Entries of the file that hold weights, the one that was read first; empty where
            there are not several.
        metadata: Entries that are no weights, as data; see `unwrap`.
        behind: Classifier that follows a layer without weights, which the file does not tell: a
            dropout, or a function.
    """

    def __init__(
        self,
        tensors: StateDict,
        entries: tuple[str, ...] = (),
        metadata: Mapping[str, object] | None = None,
        behind: str = "",
    ) -> None:
        super().__init__(tensors)
        self.behind = behind
        self.entries = entries
        self.metadata = dict(metadata or {})

    def with_tensors(self, tensors: StateDict) -> Checkpoint:
        """Returns the checkpoint with other tensors, for example under other names."""
        return Checkpoint(tensors, self.entries, self.metadata, self.behind)


_BOOKKEEPING = ("num_batches_tracked", "position_ids", "relative_position_index", "attn_mask")
"""Buffers that libraries add and remove between versions; they hold no learned values."""

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Dtypes of weights; others need more than a conversion, like the scales of float8."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Returns the tensors of a checkpoint file by name, wrappers and common prefixes removed.

    Reads safetensors files, `.pt`, `.pth` or `.bin` files of `torch.save`, and TorchScript
    archives like OpenAI's, without running any code in them. Checksums are verified if the
    format has them.

    Raises:
        WeightsError: If the file is missing, damaged, would run code, or holds no weights.
    """
    if step := step_for(path):
        raise WeightsError(step)
    try:
        with open_regular(path) as file:
            if path.suffix == ".safetensors":
                (header,) = struct.unpack("<Q", file.read(8))
                if header > ARRAY_HEADER_BYTES:
                    raise ValueError(f"its header claims {header:,} bytes")
                return Checkpoint(without_prefix(load_file(path)), metadata=_metadata(path))
            opened = open_torch_file(file)
            stored, entries, metadata = unwrap(opened.content, path)
            return Checkpoint(without_prefix(opened.tensors(stored)), entries, metadata)
    except WeightsError:
        raise
    except FileNotFoundError as error:
        raise WeightsError(
            f"there is no file {path} of weights or of a head; check its path"
        ) from error
    except DamagedFileError as error:
        raise WeightsError(
            f"{error}; pass a checkpoint file, or name a folder of save_pretrained by --model "
            "transformers:local-dir:FOLDER"
        ) from error
    except UnsafePickleError as error:
        step = step_for_pickle(str(error)) or (
            f"{first_line(error)}. Save only its state_dict, best as safetensors, and pass that"
        )
        raise WeightsError(
            f"{path} holds more than weights (pickled objects that could run code), so it was "
            f"not opened: {step}"
        ) from error
    except DAMAGED as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint ({first_line(error)}); "
            + ("copy or download it again" if _is_cut(error) else _READ)
        ) from error


def _metadata(path: Path) -> dict[str, object]:
    """Returns the metadata of a safetensors file, texts of JSON as their values."""
    values: dict[str, object] = {}
    with safe_open(path, framework="pt") as file:
        for name, text in (file.metadata() or {}).items():
            values[name] = text
            with suppress(*UNFIT):
                values[name] = parse_json(text)
    return values


_READ = "safetensors, .pt, .pth and .bin are read"


def _is_cut(error: BaseException) -> bool:
    """Returns whether a file begins as one that is read, and ends too early."""
    if isinstance(error, zipfile.BadZipFile):  # an archive has its list at its end
        return True
    return isinstance(error, EOFError) or any(words in str(error) for words in _CUT)


_CUT = ("cut short", "incomplete metadata", "invalid header length", "requires a buffer")
"""Words of errors of a file that ends too early."""


@contextmanager
def seeded(*, drawn: bool = True) -> Iterator[None]:
    """Silences libraries and seeds their random weights; the generator of others is unchanged.

    Args:
        drawn: Whether weights are drawn; else a file replaces every one of them by `load_into`.
    """
    with quiet(), torch.random.fork_rng(devices=[]), nullcontext() if drawn else _Undrawn():
        torch.manual_seed(0)
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves out the drawing of random weights, which takes longer than to read them."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        named = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)


_DRAWS = {nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_}
"""Not the methods of tensors: `trunc_normal_` draws by them until all values are within bounds."""


def load_into(
    model: nn.Module, state: StateDict, *, source: str, target: str, absent: str = ""
) -> tuple[str, ...]:
    """Loads all weights of `state` into `model`, or none.

    Returns the part of the file that was read and the other parts, see `part_for`.

    Args:
        model: The built architecture.
        state: Tensors by the model's names.
        source: Name of the weights in messages.
        target: Name of the architecture in messages.
        absent: Layer of the model whose weights `state` does not hold.

    Raises:
        WeightsError: If names are missing or left over, or shapes differ; lists them.
    """
    built = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (absent and name.startswith(f"{absent}."))
    }
    state, entries = part_for(state, built, source=source)
    pairs = [(n, state[n], built[n]) for n in built if n in state]
    problems = {
        "missing": [n for n in built if n not in state and not n.endswith(_BOOKKEEPING)],
        "not part of it": [n for n in state if n not in built and not n.endswith(_BOOKKEEPING)],
        "of another shape": [
            f"{n} is {tuple(stored.shape)} in the file, {tuple(tensor.shape)} in the model"
            for n, stored, tensor in pairs
            if stored.shape != tensor.shape
        ],
    }
    if any(problems.values()):
        causes = (f"{len(n)} {problem} ({first_names(n)})" for problem, n in problems.items() if n)
        raise WeightsError(
            f"{source} does not fit {target}: {'; '.join(causes)}. {_remedy(state, source)}"
        )
    numbers = [
        f"{n} is {_dtype(stored)} in the file, {_dtype(tensor)} in the model"
        for n, stored, tensor in pairs
        if not converts(stored, tensor.dtype)
    ]
    if numbers:
        raise WeightsError(
            f"{source} holds numbers that {target} cannot take without loss "
            f"({first_names(numbers)}). Quantised or truncated weights are not converted; pass the "
            "floating-point file"
        )
    for _, stored, tensor in pairs:  # load_state_dict of some models asks for a version
        tensor.copy_(stored)
    return entries


_REMEDIES = (
    (r"\blora_", "These are adapters (LoRA): merge them (merge_and_unload) and save the model"),
    (r"\.\w+_orig$", "The model is pruned: call torch.nn.utils.prune.remove, and save it again"),
)
"""What to do by the end of names that belong to no architecture."""


def _remedy(state: StateDict, source: str) -> str:
    """Returns the remedy for weights that do not fit."""
    if re.search(r"-\d+-of-\d+\.", source):
        return "It is one of several shards: save all weights in one file"
    for pattern, remedy in _REMEDIES:
        if any(re.search(pattern, name) for name in state):
            return remedy
    return (
        "Name the architecture that these weights were trained in, or load a changed one in a file "
        "of yours (--model py:FILE.py:NAME)"
    )


def with_classifier(
    state: Checkpoint, layer: str, *, biased: bool = True
) -> tuple[Checkpoint, int | None]:
    """Returns the tensors with the classifier named `layer`, under any prefix, and its rows.

    Training code puts the linear layer behind a dropout, as `layer.1`, or in place of the block
    that `layer` ends; `behind` says where another function may be before it. A missing bias is zero
    if the model's layer is `biased`. Rows are 0 if the layer is missing, and None if out of
    range.

    >>> state = Checkpoint({"net.fc.1.weight": torch.zeros(5, 8), "net.fc.1.bias": torch.zeros(5)})
    >>> renamed, rows = with_classifier(state, "fc")
    >>> list(renamed), rows, with_classifier(Checkpoint({}), "fc")[1]
    (['net.fc.weight', 'net.fc.bias'], 5, 0)
    """
    block = layer.rpartition(".")[0]
    forms = (re.escape(layer), rf"{re.escape(layer)}\.\d+", re.escape(block or layer))
    matches = (re.fullmatch(rf"(|.*\.)({f})\.weight", name) for f in forms for name in state)
    match = next(filter(None, matches), None)
    if match is None:
        return state, 0
    prefix, name = match.groups()
    if name != layer:
        names = {f"{prefix}{name}.{n}": f"{prefix}{layer}.{n}" for n in ("weight", "bias")}
        around = f"{prefix}{block if name == block else layer}."
        if any(n.startswith(around) and n not in names for n in state):
            return state, 0  # one of several layers
        state = state.with_tensors({names.get(n, n): t for n, t in state.items()})
        state.behind = f"{prefix}{name}" if name != block and not name.endswith(".0") else ""
    weight, bias = state[f"{prefix}{layer}.weight"], f"{prefix}{layer}.bias"
    if biased and bias not in state and weight.ndim == 2:
        state = state.with_tensors({**state, bias: weight.new_zeros(len(weight))})
    return state, len(weight) if weight.ndim and 0 < len(weight) <= BUILT_CLASSES else None


def part_for(
    state: StateDict, built: Mapping[str, Tensor], *, source: str
) -> tuple[StateDict, tuple[str, ...]]:
    """Returns the part of a file whose names are the model's after a prefix, that removed.

    Training modules hold the model as one attribute among losses and metrics. If so,
    the second value names that part and the others.

    Raises:
        WeightsError: If the file has other layers, for example averaged weights or another head.

    >>> w = torch.zeros(1)
    >>> state = {"net.enc.w": w, "net.enc.b": w, "loss.w": w}
    >>> part, entries = part_for(state, {"w": w, "b": w}, source="w.pt")
    >>> list(part), entries
    (['w', 'b'], ('net.enc', 'loss'))
    """
    names = [name for name in built if not name.endswith(_BOOKKEEPING)]
    if not names or any(name in state for name in names):
        return state, ()
    ends = f".{names[0]}"
    starts = [name.removesuffix(ends) for name in state if name.endswith(ends)]
    start = next((s for s in starts if all(f"{s}.{name}" in state for name in names)), None)
    if start is None:
        return state, ()
    prefix = f"{start}."
    outside = [name for name in state if not name.startswith(prefix)]
    layers = [name for name in outside if state[name].ndim > 1]
    if layers:
        raise WeightsError(
            f"{source} contains layers that do not belong to {start} ({first_names(layers)}): "
            f"save the state_dict of {start} alone, or load all in a file of yours "
            "(py:FILE.py:NAME)"
        )
    part = {n.removeprefix(prefix): tensor for n, tensor in state.items() if n.startswith(prefix)}
    others = dict.fromkeys(name.partition(".")[0] for name in outside)
    return part, (start, *others) if others else ()


def converts(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Returns whether a tensor can be converted to the model's dtype without losing meaning.

    Floating-point weights may change precision; integers and booleans must keep their values.
    Everything else is refused: integers as weights are truncated, an imaginary part would be lost,
    and 8-bit types have scales that are stored elsewhere.

    >>> converts(torch.zeros(1).half(), torch.float32), converts(torch.zeros(1).int(), torch.half)
    (True, False)
    >>> converts(torch.tensor([300]), torch.uint8), converts(torch.tensor([3.0]), torch.int64)
    (False, True)
    """
    if dtype.is_floating_point:
        return tensor.dtype in _FLOATS
    if tensor.dtype == dtype:
        return True
    integral = not (tensor.is_floating_point() or tensor.is_complex())
    if not integral and tensor.dtype not in _FLOATS:
        return False
    return torch.equal(tensor.to(dtype).to(tensor.dtype), tensor)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


_ADAPTER = (
    "an adapter, not a model: merge it first, by model = PeftModel.from_pretrained(base, "
    '{path!r}).merge_and_unload() and model.save_pretrained("merged"), and write '
    "transformers:local-dir:merged"
)
_FOLDERS = (
    ("adapter_config.json", _ADAPTER),
    ("open_clip_config.json", "a model of open_clip: write open_clip:local-dir:{path}"),
    ("config.json", "a checkpoint folder: write transformers:{path}, or timm:local-dir:{path}"),
)
"""File names by which a folder is known, and what it is."""

_FORMATS = {
    ".onnx": "a network in ONNX",
    ".pt2": "an exported program of torch",
    ".tflite": "a network of TensorFlow Lite",
    ".engine": "a network of TensorRT",
}
_NETWORK = (
    ", which is not run here: give its answers as a table (answers:FILE.csv), or the module that "
    "it was exported from (py:FILE.py:NAME)"
)

_PICKLED = (
    (
        ("sklearn.",),
        "it is a model of scikit-learn. Save its numbers where you trust it: "
        "clf = joblib.load(FILE), "
        'then numpy.savez("head.npz", coef_=clf.coef_, intercept_=clf.intercept_)',
    ),
    (
        ("torch.nn.modules.", "torchvision.models.", "timm.models.", "transformers.models."),
        "it is a whole module of torch. Save its numbers where you trust it: "
        "module = torch.load(FILE, weights_only=False), then "
        'torch.save(module.state_dict(), "weights.pt")',
    ),
)
"""Beginnings of the names in a pickle, and what it holds."""


def _holds(folder: Path, name: str) -> bool:
    """Returns whether a folder holds a file; False also for a path that no folder can have."""
    try:
        return (folder / name).is_file()
    except OSError:
        return False


def step_for(path: Path) -> str:
    """Explains a path that holds no weights, and what to do; empty if it may hold some."""
    if path.suffix.lower() in _FORMATS:
        return f"{path} is {_FORMATS[path.suffix.lower()]}{_NETWORK}"
    for name, what in _FOLDERS:
        if _holds(path, name):
            return f"{path} is {what.format(path=str(path))}"
    return ""


def step_for_pickle(reason: str) -> str:
    """Explains a pickle that is not opened, and how to save its numbers.

    Args:
        reason: Why it is not opened, which names a class in it.
    """
    name = reason.rpartition("refers to ")[2]
    return next((what for names, what in _PICKLED if name.startswith(names)), "")
