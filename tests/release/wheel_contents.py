"""Says what in a wheel is not as a release needs it: `python wheel_contents.py WHEEL…`.

A wheel is small, brings no library beside the native module, and links neither torch nor an OpenMP
runtime: the loops use the runtime that torch has loaded.
"""

import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_BYTES = 25_000_000
SYSTEM = (
    "ld-linux",
    "libc.",
    "libdl.",
    "libgcc_s.",
    "libm.",
    "libpthread.",
    "librt.",
    "libstdc++.",
)
FOREIGN = ("c10", "at6", "torch", "THP", "GOMP_", "omp_", "__kmpc_")
PACKAGES = {"tuiprobe", "tuiprobe_cuda"}


def problems(wheel: Path) -> Iterator[str]:
    """Yields what is wrong with a wheel, one sentence each.

    Args:
        wheel: A wheel of tuiprobe or tuiprobe-cuda.
    """
    size = wheel.stat().st_size
    if size >= MAX_BYTES:
        yield f"{size / 1e6:.1f} MB, limit {MAX_BYTES / 1e6:.0f} MB"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {PurePosixPath(name).parts[0] for name in names}
        strays = [top for top in tops if top not in PACKAGES and not top.endswith(".dist-info")]
        if strays:
            yield f"folders beside the package: {', '.join(sorted(strays))}"
        modules = [name for name in names if ".so" in PurePosixPath(name).suffixes]
        if [PurePosixPath(name).name.partition(".")[0] for name in modules] != ["_native"]:
            yield f"shared libraries: {', '.join(modules) or 'none'}; one is expected, _native"
        for name in names:
            if name.endswith(".dist-info/METADATA"):
                yield from dead_links(archive.read(name).decode("utf-8"))
        for name in modules:
            data = archive.read(name)
            if data.startswith(b"\x7fELF"):  # delocate checks those of macOS
                yield from (f"{name}: {text}" for text in linked(data))


def dead_links(description: str) -> Iterator[str]:
    """Yields the links of a package's description that lead nowhere outside the repository."""
    for link in re.findall(r"\]\(([^)\s]+)\)", description):
        if not link.startswith("https://"):
            yield f"the description has the relative link {link}"


def linked(library: bytes) -> Iterator[str]:
    """Yields what a shared library asks of others and should not.

    Args:
        library: The bytes of an ELF file.
    """
    from elftools.elf.dynamic import DynamicSection  # a tool of .ci/wheel and the extra dev alone
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    file = ELFFile(io.BytesIO(library))
    dynamic = file.get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection)
    for tag in dynamic.iter_tags():
        text = str(getattr(tag, tag.entry.d_tag[3:].lower(), ""))
        if tag.entry.d_tag == "DT_NEEDED" and not text.startswith(SYSTEM):
            yield f"needs {text}"
        if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
            yield f"looks for libraries in {text}"
    symbols = file.get_section_by_name(".dynsym")
    assert isinstance(symbols, SymbolTableSection)
    for symbol in symbols.iter_symbols():
        plain = symbol.name.lstrip("_ZNKSt0123456789")
        if symbol["st_shndx"] == "SHN_UNDEF" and (
            symbol.name.startswith(FOREIGN) or plain.startswith(FOREIGN)
        ):
            yield f"needs the symbol {symbol.name}"


def main(wheels: list[str]) -> int:
    """Prints size and problems of each wheel; returns the exit code."""
    bad = 0
    for wheel in map(Path, wheels):
        result = list(problems(wheel))
        bad += bool(result)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        print("".join(f"  {line}\n" for line in result), end="")
    return 1 if bad or not wheels else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
