"""The bundle: what some models need, with checksums, as one file for a machine without a network.

A bundle is a plain uncompressed tar. Its first member, `manifest.json`, lists the models and the
size and SHA-256 of every other member; these are named by their places below the root of a cache:
`hub/…` and `torch/…` as the libraries keep them, and `heads/…`.

A bundle is not trusted. Only regular members are read, at offsets; names must stay below the root
and be of kinds that hold data; sizes must agree with the manifest and with the file. A member is
published only after its SHA-256 has been compared, and torch's pickles are then read once as data,
before a library opens them.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tuiprobe import __version__
from tuiprobe.datasets.tar_headers import Header, read_headers
from tuiprobe.errors import DataError, WeightsError
from tuiprobe.files import DamagedFileError, Entry, open_regular, parse_json, reading
from tuiprobe.models.weights import read_checkpoint
from tuiprobe.results.base import few

MANIFEST = "manifest.json"
VERSION = 1

MAX_MANIFEST_BYTES = 4 * 2**20
MAX_FILES = 10_000

DATA_SUFFIXES = frozenset({".safetensors", ".npz", ".json", ".txt", ".model"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth"})
REFERENCE = "refs/main"
"""End of the name of the file that says which commit of a repository is the newest."""

_PLACES = (("hub",), ("torch",), ("heads",))
_LONGEST_PART = 200

_CHUNK_BYTES = 2**20
_ADVICE = "copy it again, or write it again with tuiprobe fetch --bundle"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
_Names = Annotated[list[Name], Field(max_length=MAX_FILES, fail_fast=True)]


class Member(BaseModel):
    """Size and SHA-256 of one member."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Manifest(BaseModel):
    """What a bundle holds.

    Attributes:
        format: Says that it is a bundle.
        version: Version of the format.
        tuiprobe: Version of the program that wrote it.
        models: Names of the members that each model needs, by its spec.
        heads: Names of zero-shot heads, which any model of the bundle may use.
        files: All members.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["tuiprobe bundle"] = "tuiprobe bundle"
    version: Literal[1] = 1
    tuiprobe: Name = __version__
    models: Annotated[dict[Name, _Names], BeforeValidator(few)]
    heads: _Names
    files: Annotated[dict[Name, Member], BeforeValidator(few)]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, of which nothing but the manifest and the headers was read.

    Attributes:
        path: Its file.
        key: SHA-256 of its manifest.
        manifest: What it holds.
        offsets: First byte of each member.
    """

    path: Path
    key: str
    manifest: Manifest
    offsets: Mapping[str, int]

    def place(self, names: Iterable[str], root: Path) -> None:
        """Makes members files below `root`; one that is there already is only compared.

        Raises:
            WeightsError: If a member is damaged, or is a pickle of more than weights.
        """
        for name in names:
            member, entry = self.manifest.files[name], Entry(root, name)
            if _holds(entry, member):
                continue
            entry.write_chunks(self._chunks(name, member))
            if entry.path.suffix in PICKLE_SUFFIXES:
                try:
                    read_checkpoint(entry.path)
                except WeightsError:
                    entry.unlink()
                    raise

    def _chunks(self, name: str, member: Member) -> Iterator[bytes]:
        with reading(self.path), open_regular(self.path) as file:
            file.seek(self.offsets[name])
            yield from checked_chunks(file, member, f"{name} in the bundle {self.path}", _ADVICE)


def _holds(entry: Entry, member: Member) -> bool:
    status = entry.status()
    if status is None or status.st_size != member.size:
        return False
    try:
        with entry.open() as file:
            for _ in checked_chunks(file, member, str(entry), ""):
                pass
    except WeightsError:
        return False
    return True


def checked_chunks(file: IO[bytes], member: Member, what: str, advice: str) -> Iterator[bytes]:
    """Yields the next bytes of a file.

    Args:
        file: An open file.
        member: What the bytes should be.
        what: What names them in errors.
        advice: What to do if they are others.

    Raises:
        WeightsError: At the end, if they are not those of the member.
    """
    digest, left = hashlib.sha256(), member.size
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
        yield chunk
    if left or digest.hexdigest() != member.sha256:
        raise WeightsError(f"{what} is damaged: its SHA-256 does not match; {advice}")


def open_bundle(path: Path) -> Bundle:
    """Opens a bundle and compares its members with its manifest.

    Raises:
        WeightsError: If there is no such file, or it is damaged, cut short or no bundle.
    """
    try:
        with open_regular(path) as file:
            return _opened(path, file)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no bundle {path}; check --bundle") from error
    except OSError as error:
        raise WeightsError(f"cannot read the bundle {path}: {error.strerror}") from error
    except DamagedFileError as error:
        raise WeightsError(f"{error}; pass a file that tuiprobe fetch --bundle wrote") from error
    except DataError as error:
        raise WeightsError(f"the bundle cannot be read: {error}; {_ADVICE}") from error


def _opened(path: Path, file: IO[bytes]) -> Bundle:
    headers = read_headers(file, str(path))
    no_bundle = f"{path} is no bundle; pass a file that tuiprobe fetch --bundle wrote"
    try:
        first = next(headers, None)
    except DataError as error:
        raise WeightsError(no_bundle) from error
    regular = first is not None and first.kind in tarfile.REGULAR_TYPES and not first.sparse
    if first is None or first.name != MANIFEST or not regular:
        raise WeightsError(no_bundle)
    if first.size > MAX_MANIFEST_BYTES:
        raise _damaged(path, f"its list claims {first.size:,} bytes")
    file.seek(first.offset)
    content = file.read(first.size)
    manifest = _parsed(path, content)
    offsets: dict[str, int] = {}
    for header in headers:
        if header is None:
            raise _damaged(path, "its end is missing")
        _check_member(path, manifest, header, offsets)
        offsets[header.name] = header.offset
    missing = manifest.files.keys() - offsets.keys()
    if missing:
        raise _damaged(path, f"it lacks {min(missing)}")
    return Bundle(path, hashlib.sha256(content).hexdigest(), manifest, offsets)


def _parsed(path: Path, content: bytes) -> Manifest:
    try:
        found = parse_json(content)
        version = found.get("version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise WeightsError(
                f"{path} is a bundle of version {version}, and this tuiprobe reads version "
                f"{VERSION}; install the version of tuiprobe that wrote it"
            )
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise _damaged(path, f"its list is wrong at {where}: {first['msg']}") from error
    except ValueError as error:
        raise _damaged(path, f"its list cannot be read: {error}") from error
    _check_names(path, manifest)
    return manifest


def _check_names(path: Path, manifest: Manifest) -> None:
    if len(manifest.files) > MAX_FILES:
        raise _damaged(path, f"it lists {len(manifest.files):,} files")
    for name in manifest.files:
        if not may_hold(name):
            raise _damaged(path, f"it holds {json.dumps(name[:200])}, which no model needs")
        above = {str(parent) for parent in PurePosixPath(name).parents}
        if above & manifest.files.keys():
            raise _damaged(path, f"it holds {json.dumps(name[:200])} below a file")
    named = [*manifest.heads, *(name for names in manifest.models.values() for name in names)]
    for name in named:
        if name not in manifest.files:
            raise _damaged(path, f"it lists {json.dumps(name[:200])}, but does not hold it")


def may_hold(name: str) -> bool:
    """Says whether a bundle may hold a file of this name: one of data, in a known place.

    >>> may_hold("hub/models--a--b/snapshots/c/model.safetensors"), may_hold("hub/run.py")
    (True, False)
    >>> may_hold("hub/../../model.safetensors"), may_hold("etc/passwd.txt")
    (False, False)
    """
    path = PurePosixPath(name)
    inside = str(path) == name and path.parts[:1] in _PLACES and ".." not in path.parts
    short = all(len(part.encode("utf-8", "replace")) <= _LONGEST_PART for part in path.parts)
    known = path.suffix in DATA_SUFFIXES | PICKLE_SUFFIXES or name.endswith(f"/{REFERENCE}")
    return inside and short and known and name.isprintable()


def _check_member(
    path: Path, manifest: Manifest, header: Header, before: Mapping[str, int]
) -> None:
    member = manifest.files.get(header.name)
    if member is None or header.kind not in tarfile.REGULAR_TYPES or header.sparse:
        name = json.dumps(header.name[:200])
        raise _damaged(path, f"it holds {name}, which its list does not name as a file")
    if header.size != member.size or header.name in before:
        raise _damaged(path, f"{header.name} differs from its list")


def _damaged(path: Path, cause: str) -> WeightsError:
    return WeightsError(f"the bundle {path} is damaged: {cause}; {_ADVICE}")
