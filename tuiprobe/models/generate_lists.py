"""Generates the catalog's lists from the libraries: `python -m tuiprobe.models.generate_lists`.

These are the list of published models (`names.tsv`), and ImageNet's class names and prompt
templates. With `--cache` it writes a list of models that replaces the shipped one on this
machine.
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from tuiprobe.catalog import class_names
from tuiprobe.catalog.published_models import FILE, cached_list

COLUMNS = "loader\tarchitecture\ttag\tquickgelu\trepository\tfile\turl"


def _open_clip_rows() -> Iterator[tuple[object, ...]]:
    """Yields a row for every pair of architecture and tag that open_clip knows."""
    from open_clip import pretrained

    for architecture, tag in pretrained.list_pretrained():
        config = pretrained.get_pretrained_cfg(architecture, tag)
        repository, file = posixpath.split(config.get("hf_hub", ""))
        url = "" if repository else config.get("url", "")
        quick = int(bool(config.get("quick_gelu", False)))
        yield "open_clip", architecture, tag, quick, repository, file, url


def _timm_rows() -> Iterator[tuple[object, ...]]:
    """Yields a row for every model that timm has weights for."""
    import timm

    from tuiprobe.models.loaders.from_timm import wants_quickgelu

    for name in timm.list_models(pretrained=True):
        architecture, _, tag = name.partition(".")
        config = timm.get_pretrained_cfg(name)
        repository, file = config.hf_hub_id or "", config.hf_hub_filename or ""
        url = "" if repository else config.url or ""
        quick = int("quickgelu" in architecture or wants_quickgelu(config.notes))
        yield "timm", architecture, tag, quick, repository, file, url


def generate(day: str) -> str:
    """Returns the content of `names.tsv` for the installed libraries.

    Args:
        day: The date in the list, for example `2026-11-25`.
    """
    import open_clip
    import timm

    lines = ["\t".join(map(str, row)) for row in (*_open_clip_rows(), *_timm_rows())]
    versions = f"# open_clip=={open_clip.__version__} timm=={timm.__version__} {day}"
    return "\n".join([versions, COLUMNS, *lines]) + "\n"


def generate_imagenet() -> str:
    """Returns the content of `imagenet.tsv`: WordNet id, open_clip's name, WordNet's names."""
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    lines = (
        f"{info.index_to_label_name(i)}\t{name}\t{info.index_to_description(i)}"
        for i, name in enumerate(IMAGENET_CLASSNAMES)
    )
    return "\n".join(lines) + "\n"


def generate_templates() -> str:
    """Returns the content of `imagenet_templates.txt`."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return "".join(template("{}") + "\n" for template in OPENAI_IMAGENET_TEMPLATES)


def main(arguments: list[str]) -> None:
    """Writes the files into the package, or with `--cache` the list into the user's cache."""
    if arguments == ["--cache"]:
        _write(cached_list(), generate(date.today().isoformat()))
        return
    _write(FILE, generate(date.today().isoformat()))
    _write(class_names.FILE, generate_imagenet())
    _write(class_names.TEMPLATES_FILE, generate_templates())


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(text, "utf-8")
    partial.replace(file)


if __name__ == "__main__":
    main(sys.argv[1:])
