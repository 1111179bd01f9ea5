"""Checkpoint files made to hang a reader or to fill its memory."""

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch


def archive(
    path: Path, code: bytes, data: dict[str, bytes] | None = None, *, script: bool = False
) -> None:
    """Writes an archive as torch does, around a pickle of one's own."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", code)
        if script:
            file.writestr("archive/constants.pkl", pickle.dumps((), 2))
        for name, content in (data or {}).items():
            file.writestr(f"archive/data/{name}", content)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def tensor_code(
    function: str = "_rebuild_tensor_v2",
    kind: str = "FloatStorage",
    count: int = 4,
    size: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
) -> bytes:
    """Returns the instructions of one tensor, with whatever shape is claimed."""
    reference = _text("storage") + f"ctorch\n{kind}\n".encode() + _text("0") + _text("cpu")
    number = lambda value: f"L{value}L\n".encode()  # noqa: E731
    numbers = lambda values: b"(" + b"".join(map(number, values)) + b"t"  # noqa: E731
    return (
        f"ctorch._utils\n{function}\n(".encode()
        + b"(" + reference + number(count) + b"tQ" + number(0)
        + numbers(size) + numbers(stride) + b"\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def _state(code: bytes) -> bytes:
    return b"\x80\x02}" + _text("w") + code + b"s."


def cycle(path: Path) -> None:
    own: dict[str, object] = {}
    own["state_dict"] = own
    torch.save(own, path)


def modules(path: Path) -> None:
    """Forty modules, each twice in the next: 2**40 ways through them."""
    code = b"\x80\x02c__torch__\nM\n)\x81}b" + b"q\x00"
    for depth in range(40):
        below = b"h" + bytes([depth])
        code += b"c__torch__\nM\n)\x81}(" + _text("a") + below + _text("b") + below
        code += b"ubq" + bytes([depth + 1])
    archive(path, code + b".", script=True)


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", _state(tensor_code(count=2**26, size=(2**26,))))
        file.writestr("archive/data/0", bytes(2**28))


def array(path: Path) -> None:
    archive(path, b"\x80\x02c__builtin__\nbytearray\nL99999999999L\n\x85R.")


def expanded(path: Path) -> None:
    archive(path, _state(tensor_code(size=(2**20, 2**20), stride=(0, 0))), {"0": bytes(16)})


def legacy_claim(path: Path) -> None:
    torch.save({"w": torch.zeros(4)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    place = content.index(b"cpu")
    code = content[place:].replace(b"K\x04N", b"\x8a\x05\x00\x00\x00\x00\x10N", 1)
    path.write_bytes(content[:place] + code)


def deep(path: Path) -> None:
    archive(path, b"\x80\x02" + b"]" * 400_000 + b"a" * 399_999 + b".")


def instructions(path: Path) -> None:
    archive(path, b"\x80\x02" + b"N0" * 20_000_000 + b"N.")


def entries(path: Path) -> None:
    """An archive whose list of entries is as long as the file."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[20] * 2, *[0] * 14)
    listed = entry * 400_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(listed), 4, 0)
    path.write_bytes(b"PK\3\4" + listed + end)


def header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 10**15) + b"{}")


def names(path: Path) -> None:
    entry = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = "{" + ",".join(entry % i for i in range(200_000)) + "}"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode())


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cycle.pt": (cycle, "wraps its weights more than 16 deep, or in themselves"),
    "modules.pt": (modules, "are nested without end"),
    "compressed.pt": (compressed, "claims to hold more than the file's size"),
    "array.pt": (array, "no named weights"),
    "expanded.pt": (expanded, "repeats its data to fill its shape"),
    "legacy_claim.bin": (legacy_claim, "cut short"),
    "deep.pt": (deep, "holds a list and no named weights"),
    "instructions.pt": (instructions, "more than 1,000,000 instructions"),
    "entries.pt": (entries, "a header of 18,400,000 bytes"),
    "header.safetensors": (header, "its header claims 1,000,000,000,000,000 bytes"),
    "names.safetensors": (names, "its header claims"),
}
"""By file name: what writes it, and what a reader says."""


class Harmful:
    """Unpickling this would create the folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)
