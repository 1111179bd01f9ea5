"""What `tuiprobe models` lists: presets first, then every published model of the libraries."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.cached import cached_file, hub_cache, hub_folder
from tuiprobe.catalog.presets import ListedModel, Preset, presets
from tuiprobe.catalog.published import robustness_of
from tuiprobe.catalog.published_models import all_published, right_spec
from tuiprobe.plaintext import holds_all


def listed(words: Sequence[str] = ()) -> Iterator[ListedModel]:
    """Yields the models whose name, spec, backbone or pretraining contains all words.

    Specs that build a model with the wrong activation for its weights are left out; the list has
    the right ones. Iterate lazily to show the first rows at once.

    >>> next(listed(["rn50_openai"])).spec
    'open_clip:RN50-quickgelu/openai'
    """
    folders = {folder.name for folder in hub_cache().glob("models--*")}
    for preset in presets().values():
        text = f"{preset.name} {preset.spec} {preset.backbone} {preset.pretraining}"
        if holds_all(f"{text} {preset.training}", words):
            cached = _cached(preset.spec, folders) if preset.public else "none"
            cached = "yes" if preset.shipped else cached
            yield _row(preset.name, preset.spec, preset, cached, preset.parameters / 1e6)
    for spec in all_published():
        if right_spec(spec) == spec and holds_all(spec, words):
            yield _row(spec, spec, None, _cached(spec, folders), None)


def of_package(specs: Sequence[str], words: Sequence[str] = ()) -> Iterator[ListedModel]:
    """Yields models of other packages; the catalog knows only their specs."""
    for spec in specs:
        if holds_all(spec, words):
            yield ListedModel(spec, spec, None, "", None, None, None, False)


def _cached(spec: str, folders: Container[str]) -> str:
    """Returns whether weights are cached, in most cases by the names of folders alone."""
    model = all_published().get(spec)
    if model is None or (model.repository and hub_folder(model) not in folders):
        return "no"
    return "yes" if cached_file(model) is not None else "no"


def _row(
    name: str, spec: str, preset: Preset | None, cached: str, parameters: float | None
) -> ListedModel:
    row = published_row(spec, preset.size if preset is not None else None)
    if row is None:
        return ListedModel(name, spec, preset, cached, parameters, None, None, False)
    er = robustness_of(row, "standard")
    return ListedModel(
        name=name,
        spec=spec,
        preset=preset,
        cached=cached,
        parameters=row.parameters if parameters is None else parameters,
        imagenet=row.imagenet,
        robustness=None if er is None else er.value,
        extrapolated=er is not None and er.extrapolated,
    )
