"""Writes ``catalog/names.tsv`` from the libraries: ``python -m tuiprobe.models.names``.

With ``--cache`` it writes the list that takes its place on this machine.
"""

from __future__ import annotations

import posixpath
import sys

from tuiprobe.catalog.names import FILE, Published, cached_list

COLUMNS = "loader\tarchitecture\ttag\tquickgelu\trepository\tfile\turl"


def open_clip_models() -> list[Published]:
    """Returns every pair of architecture and tag that open_clip knows."""
    from open_clip import pretrained

    models = []
    for architecture, tag in pretrained.list_pretrained():
        config = pretrained.get_pretrained_cfg(architecture, tag)
        repository, file = posixpath.split(config.get("hf_hub", ""))
        url = "" if repository else config.get("url", "")
        quick = bool(config.get("quick_gelu", False))
        models.append(Published("open_clip", architecture, tag, quick, repository, file, url))
    return models


def timm_models() -> list[Published]:
    """Returns every model that timm has weights of."""
    import timm

    models = []
    for name in timm.list_models(pretrained=True):
        architecture, _, tag = name.partition(".")
        config = timm.get_pretrained_cfg(name)
        repository = config.hf_hub_id or ""
        file = config.hf_hub_filename or ""
        url = "" if repository else str(config.url or "")
        quick = "quickgelu" in architecture or wants_quickgelu(config.notes)
        models.append(Published("timm", architecture, tag, quick, repository, file, url))
    return models


def wants_quickgelu(notes: object) -> bool:
    """Whether timm's notes say that the weights were trained with QuickGELU."""
    return "natively QuickGELU" in str(notes or "")


def generate() -> str:
    """Returns the content of ``names.tsv`` for the installed libraries."""
    import open_clip
    import timm

    rows = [
        [m.loader, m.architecture, m.tag, str(int(m.quickgelu)), m.repository, m.file, m.url]
        for m in (*open_clip_models(), *timm_models())
    ]
    lines = ["\t".join(row) for row in rows]
    versions = f"# open_clip=={open_clip.__version__} timm=={timm.__version__}"
    return "\n".join([versions, COLUMNS, *lines]) + "\n"


def main(arguments: list[str]) -> None:
    """Writes the list into the package, or with ``--cache`` into the user's cache."""
    file = cached_list() if arguments == ["--cache"] else FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(generate(), "utf-8")
    partial.replace(file)


if __name__ == "__main__":
    main(sys.argv[1:])
