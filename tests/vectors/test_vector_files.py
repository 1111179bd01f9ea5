"""Every format gives the figures of the npy file, and bad input gives one sentence."""

import io
import os
import pickle
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.vectors.conftest import planted
from tuiprobe.datasets.vectors.parquet import open_parquet
from tuiprobe.datasets.vectors.row_set import RowSet
from tuiprobe.errors import DataError, TuiprobeError
from tuiprobe.show.cli.app import run_cli

Writer = Callable[[Path, NDArray[Any]], str]


def npy(folder: Path, x: NDArray[Any]) -> str:
    np.save(folder / "x.npy", x)
    return str(folder / "x.npy")


def npz(folder: Path, x: NDArray[Any]) -> str:
    np.savez(folder / "x.npz", other=np.arange(3), vectors=x)
    return f"{folder / 'x.npz'}::vectors"


def safetensors(folder: Path, x: NDArray[Any]) -> str:
    save_file({"vectors": x, "ids": np.arange(len(x))}, folder / "x.safetensors")
    return str(folder / "x.safetensors")


def torch_zip(folder: Path, x: NDArray[Any]) -> str:
    torch.save(torch.from_numpy(x), folder / "x.pt")
    return str(folder / "x.pt")


def torch_named(folder: Path, x: NDArray[Any]) -> str:
    content = {"name": "clip", "vectors": torch.from_numpy(x), "labels": torch.arange(len(x))}
    torch.save(content, folder / "x.pth")
    return str(folder / "x.pth")


def torch_legacy(folder: Path, x: NDArray[Any]) -> str:
    torch.save(torch.from_numpy(x), folder / "x.pt", _use_new_zipfile_serialization=False)
    return str(folder / "x.pt")


def pieces(folder: Path, x: NDArray[Any]) -> str:
    """Writes eleven files, so that 10 sorts behind 2."""
    for number, part in enumerate(np.array_split(x, 11)):
        np.save(folder / f"part_{number}.npy", part)
    return str(folder / "part_*.npy")


def retrieval(folder: Path, x: NDArray[Any]) -> str:
    (folder / "img_emb").mkdir()
    for number, part in enumerate(np.array_split(x, 11)):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", part)
    return str(folder)


def parquet_lists(folder: Path, x: NDArray[Any]) -> str:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    vectors = pa.array(list(x), pa.list_(pa.from_numpy_dtype(x.dtype)))
    table = pa.table({"id": [f"img/{i}.jpg" for i in range(len(x))], "vectors": vectors})
    pq.write_table(table, folder / "x.parquet", row_group_size=700)
    return str(folder / "x.parquet")


def parquet_fixed(folder: Path, x: NDArray[Any]) -> str:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    flat = pa.array(x.reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, x.shape[1])
    pq.write_table(pa.table({"vectors": vectors}), folder / "x.parquet")
    return str(folder / "x.parquet")


def parquet_columns(folder: Path, x: NDArray[Any]) -> str:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"c{c}": x[:, c] for c in range(x.shape[1])}
    pq.write_table(pa.table({"id": np.arange(len(x)), **columns}), folder / "x.parquet")
    return str(folder / "x.parquet")


WRITERS = (
    npz, safetensors, torch_zip, torch_named, torch_legacy, pieces, retrieval, parquet_lists,
    parquet_fixed, parquet_columns,
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_format_gives_the_same_rows(tmp_path: Path, write: Writer, dtype: str) -> None:
    x = planted(2_000, 24, dtype=dtype)
    vectors = RowSet(write(tmp_path, x))
    expected = x.astype(np.float32) if dtype == "float64" else x
    assert (vectors.rows, vectors.width) == x.shape
    for start, stop in ((0, 2_000), (0, 1), (1_999, 2_000), (650, 1_500), (100, 120), (3, 1_999)):
        result = vectors.values(start, stop)
        assert result.dtype == expected.dtype
        assert np.array_equal(result, expected[start:stop])


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    x = torch.from_numpy(planted(50, 8)).bfloat16()
    torch.save(x, tmp_path / "x.pt")
    result = RowSet(str(tmp_path / "x.pt")).values(0, 50)
    assert np.array_equal(result, x.float().numpy())


def _saved(content: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        np.save(path, content, allow_pickle=True)

    return write


def _cut(path: Path) -> None:
    content = io.BytesIO()
    np.save(content, planted(100, 8))
    path.write_bytes(content.getvalue()[:-1])


def _claims(path: Path) -> None:
    """Writes a header that claims more rows than any disk holds."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 512), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def _compressed(path: Path) -> None:
    np.savez_compressed(path, planted(100, 8))


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "one axis": ("x.npy", _saved(np.zeros(8, np.float32)), "one row an image"),
    "no rows": ("x.npy", _saved(np.zeros((0, 8), np.float32)), "empty"),
    "integers": ("x.npy", _saved(np.zeros((8, 8), np.int8)), "int8"),
    "complex": ("x.npy", _saved(np.zeros((8, 8), np.complex64)), "complex64"),
    "big-endian": ("x.npy", _saved(np.zeros((8, 8), ">f4")), "big-endian"),
    "Fortran": ("x.npy", _saved(np.asfortranarray(planted(8, 8))), "Fortran"),
    "objects": ("x.npy", _saved(np.array([[Evil()]], dtype=object)), "Python objects"),
    "wide": ("x.npy", _saved(np.zeros((1, 70_000), np.float16)), "limit"),
    "cut short": ("x.npy", _cut, "cut short"),
    "claims too much": ("x.npy", _claims, "cut short"),
    "nothing": ("x.npy", lambda p: p.write_bytes(b""), "is empty or does not begin as one"),
    "text": ("x.npy", lambda p: p.write_text("1,2,3\n"), "no array of NumPy.*numpy.save"),
    "pipe": ("x.npy", os.mkfifo, "named pipe"),
    "folder": ("x.npy", lambda p: p.mkdir(), "holds no vectors"),
    "compressed": ("x.npz", _compressed, "compressed"),
    "several": ("x.npz", lambda p: np.savez(p, a=planted(4, 8), b=planted(4, 8)), "several"),
    "no archive": ("x.npz", lambda p: p.write_bytes(b"PK"), "cannot be read"),
    "safetensors": ("x.safetensors", lambda p: p.write_bytes(b"\xff" * 20), "damaged"),
    "pickle": ("x.pt", lambda p: p.write_bytes(pickle.dumps(Evil())), "run code|pickle"),
    "torch pickle": ("x.pt", lambda p: torch.save(Evil(), p), "run code"),
    "torch view": ("x.pt", lambda p: torch.save(torch.zeros(4, 8).T, p), "contiguous"),
    "torch negative": (
        "x.pt",
        lambda p: torch.save(torch._neg_view(torch.ones(4, 8)), p),
        "resolve_neg",
    ),
    "parquet": ("x.parquet", lambda p: p.write_bytes(b"PAR1"), "Parquet|pyarrow"),
    "suffix": ("x.csv", lambda p: p.write_text("1,2"), "no known format"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(tmp_path, capsys, name):
    file, write, message = BAD[name]
    write(tmp_path / file)
    with pytest.raises(DataError, match=message):
        RowSet(str(tmp_path / file))
    code = run_cli(["--headless", "--embeddings", str(tmp_path / file)])
    assert code == DataError.exit_code
    assert capsys.readouterr().err.count("\n") <= 3


def test_files_of_different_widths_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", planted(4, 8))
    np.save(tmp_path / "b.npy", planted(4, 9))
    with pytest.raises(DataError, match="not of one encoder"):
        RowSet(str(tmp_path / "*.npy"))
    with pytest.raises(DataError, match="not of one encoder"):
        RowSet(str(tmp_path))


def test_files_are_found_in_a_folder_that_looks_like_a_pattern_but_hidden_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".runs" / "try [1]"
    folder.mkdir(parents=True)
    for name in ("part_10.npy", "part_2.npy", ".part_3.npy"):
        np.save(folder / name, planted(4, 8))
    monkeypatch.chdir(folder)
    found = [matrix.path.name for matrix in RowSet("*_*.npy").matrices]
    assert found == ["part_2.npy", "part_10.npy"]
    (folder / "._part_2.npy").write_bytes(b"of macOS")
    assert [matrix.path.name for matrix in RowSet(str(folder)).matrices] == found


@pytest.mark.parametrize("source", ["", "nowhere.npy", "no*where.npy", "a\0b.npy", "x" * 5000])
def test_what_is_not_there_is_said(source: str) -> None:
    with pytest.raises(TuiprobeError):
        RowSet(source)


def test_a_file_that_changes_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", planted(100, 8))
    vectors = RowSet(str(tmp_path / "x.npy"))
    np.save(tmp_path / "x.npy", planted(90, 8))
    with pytest.raises(DataError, match="changed while"):
        vectors.values(0, 100)


def test_parquet_of_several_widths_is_refused(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": rows}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="vectors of 1 and of 2"):
        RowSet(str(tmp_path / "x.parquet")).values(0, 2)


def test_a_missing_vector_of_parquet_is_not_finite(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": rows}), tmp_path / "x.parquet")
    result = RowSet(str(tmp_path / "x.parquet")).values(0, 3)
    assert np.isnan(result[1]).all()
    assert result[2].tolist() == [3.0, 4.0]


def test_threads_that_read_one_parquet_file_each_get_their_rows(tmp_path: Path) -> None:
    x = planted(20_000, 16)
    parquet_lists(tmp_path, x)
    matrix = open_parquet(tmp_path / "x.parquet")
    blocks = [(first, first + 250) for first in range(0, 20_000, 250)]
    with ThreadPoolExecutor(8) as readers:
        read = list(readers.map(lambda block: matrix.read(*block), blocks * 3))
    for (first, stop), rows in zip(blocks * 3, read, strict=True):
        assert np.array_equal(rows, x[first:stop])
