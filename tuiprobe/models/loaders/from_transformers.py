"""Models of transformers: image classifiers, and the dual encoders CLIP, SigLIP and SigLIP 2.

No code of a checkpoint runs: weights are safetensors, or pickles that `read_checkpoint` reads as
data, and a configuration that asks for code is refused before the library reads it.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuiprobe.catalog.class_names import imagenet_templates
from tuiprobe.catalog.model_list import hub_cache
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import UNFIT, DamagedFileError, parse_json, read_regular
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.loaders.checkpoints import read_checkpoint, seeded, step_for
from tuiprobe.models.loaders.from_module import parts_of_module
from tuiprobe.models.loaders.published_weights import quiet, resolve, verified
from tuiprobe.models.prompt_heads import TextTower, all_tokens, trained_scale
from tuiprobe.models.registry import Loader, ModelRequest
from tuiprobe.models.taps import PRE_PROJECTION, DerivedTap
from tuiprobe.plaintext import first_line, first_names, plain

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_CONFIGURATIONS = ("config.json", *_PROCESSORS, "tokenizer_config.json")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
_PICKLES = "pytorch_model*.bin"
_LOCAL = "local-dir:"

_DUAL = {"CLIPModel", "SiglipModel"}
"""Architectures with an image and a text tower; a SigLIP 2 of one input size is a `SiglipModel`."""

_CODE = ("auto_map", "trust_remote_code")
"""Keys of a configuration that name code in the repository, or ask for it to run."""

_AS_DATA = {"local_files_only": True, "trust_remote_code": False}

_CLIP_VOCABULARY, _SIGLIP2_VOCABULARY = 49_408, 256_000


def load(request: ModelRequest) -> Encoder:
    """Builds and loads one encoder.

    Raises:
        UsageError: If the library is missing, or the model is neither classifier nor dual encoder.
        WeightsError: If files are missing, do not fit, or would run code.
    """
    library = _library()
    folder, where = _located(request.name, request.rest)
    architecture = _architecture(folder, where)
    _check_weights(folder, where)
    dual = architecture in _DUAL
    options = {"dtype": torch.float32, "output_loading_info": True, **_AS_DATA}
    pickles = [] if _has_safetensors(folder) else sorted(folder.glob(_PICKLES))
    state = {name: tensor for file in pickles for name, tensor in read_checkpoint(file).items()}
    try:
        with seeded():
            if pickles:
                config = library.AutoConfig.from_pretrained(folder, **_AS_DATA)
                built = _class(library, architecture)
                model, report = built.from_pretrained(
                    None, config=config, state_dict=state, **options
                )
            else:
                auto = library.AutoModel if dual else library.AutoModelForImageClassification
                model, report = auto.from_pretrained(folder, use_safetensors=True, **options)
            processor = library.AutoImageProcessor.from_pretrained(folder, **_AS_DATA)
    except Exception as error:  # A third-party configuration can fail in any way.
        raise WeightsError(f"{where} cannot be loaded: {first_line(error)}") from error
    problems = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if problems:
        causes = (f"{kind.replace('_', ' ')} {first_names(n)}" for kind, n in problems.items())
        raise WeightsError(f"the weights of {where} do not fit {architecture}: {'; '.join(causes)}")
    parts = parts_of_module(model, preprocess=processor)
    if dual:
        parts |= _dual_parts(parts["module"], folder, where)
    elif parts["classifier"] is None:
        raise UsageError(f"{where} ends in no linear classifier; its h is not defined")
    kind = "checkpoint" if _is_local(request.rest) else "pretrained"
    source = f"image processor of {where}: {parts['preprocessing'].source}"
    parts |= {
        "name": request.name,
        "architecture": architecture,
        "weights": parts["weights"].model_copy(update={"kind": kind, "source": where}),
        "preprocessing": parts["preprocessing"].model_copy(update={"source": source}),
        "loader": "transformers",
    }
    return Encoder(**parts, device=request.device, dtype=request.dtype)


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UsageError(
            "transformers: needs that library: pip install 'tuiprobe[transformers]'"
        ) from error
    if int(transformers.__version__.partition(".")[0]) < 5:
        raise UsageError(
            f"transformers {transformers.__version__} is too old: pip install 'transformers>=5'"
        )
    transformers.logging.disable_progress_bar()
    return transformers


def _is_local(rest: str) -> bool:
    """Returns whether a name is that of a folder, written with or without `local-dir:`."""
    return rest.startswith(_LOCAL) or bool(step_for(Path(rest)))


def _located(spec: str, rest: str) -> tuple[Path, str]:
    """Returns the folder of a checkpoint and its display name; caches that of a repository.

    Weights are fetched only after the configuration is known to be usable.
    """
    if _is_local(rest):
        folder = Path(rest.removeprefix(_LOCAL))
        return folder, str(folder)
    from huggingface_hub import snapshot_download

    def cached(patterns: Sequence[str]) -> Path:
        folder = resolve(
            lambda: snapshot_download(
                rest, cache_dir=hub_cache(), allow_patterns=[*patterns], ignore_patterns=["*/*"]
            ),
            name=spec,
        )
        return Path(folder)

    _architecture(cached(("*.json", "*.txt", "*.model")), rest)
    folder = cached(_WEIGHTS)
    return folder if _has_safetensors(folder) else cached((_PICKLES,)), rest


def _architecture(folder: Path, where: str) -> str:
    """Returns the class of a checkpoint, whose configuration runs no code.

    Raises:
        UsageError: If it is neither an image classifier nor a dual encoder.
        WeightsError: If a file of the configuration is missing, damaged, or asks for code.
    """
    contents: dict[str, Any] = {}
    for name in _CONFIGURATIONS:
        if not (folder / name).is_file():
            continue
        try:
            contents[name] = parse_json(read_regular(folder / name))
            code = next(_code_in(contents[name]), None)
        except (OSError, DamagedFileError, *UNFIT) as error:
            raise WeightsError(f"{folder / name} is no configuration ({error!r})") from error
        if code is not None:
            raise WeightsError(
                f"{folder / name} asks for code ({code}), which never runs: take a "
                "checkpoint of a model that transformers itself has"
            )
    config = contents.get("config.json")
    if config is None:
        step = f"{where} holds no config.json; it is no checkpoint of transformers"
        raise WeightsError(step_for(folder) or step)
    if contents.keys().isdisjoint(_PROCESSORS):
        raise WeightsError(
            f"{where} holds no preprocessor_config.json, so what its images go through is not "
            "known: save the image processor into it (processor.save_pretrained)"
        )
    named = config.get("architectures") if isinstance(config, dict) else None
    architecture = str(named[0]) if isinstance(named, list) and named else "no named model"
    if architecture not in _DUAL and "ForImageClassification" not in architecture:
        raise UsageError(
            f"{where} is {architecture}; image classifiers, CLIP, SigLIP and SigLIP 2 of one input "
            "size are loaded by name. In Python, pass any other model to tuiprobe.probe"
        )
    return architecture


def _code_in(content: object) -> Iterator[str]:
    """Yields the parts of a configuration that would run code: keys, attention of a repository."""
    if isinstance(content, list):
        for value in content:
            yield from _code_in(value)
    elif isinstance(content, dict):
        for key, value in content.items():
            kernel = key.endswith("attn_implementation") and "/" in str(value)
            if (key in _CODE and value) or kernel:
                yield key
            yield from _code_in(value)


def _has_safetensors(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _WEIGHTS[:2])


def _class(library: Any, architecture: str) -> Any:
    """Returns the class of the library that a configuration names; as data, any name may be one."""
    built = getattr(library, architecture, None)
    if not (isinstance(built, type) and issubclass(built, library.PreTrainedModel)):
        raise WeightsError(f"transformers has no model {plain(architecture[:80])}")
    return built


def _check_weights(folder: Path, where: str) -> None:
    """Refuses a checkpoint without weights that are read, and damaged ones of the hub's cache."""
    files = [*folder.glob("model*.safetensors"), *folder.glob(_PICKLES)]
    if not files or not (_has_safetensors(folder) or any(f.suffix == ".bin" for f in files)):
        raise WeightsError(
            f"{where} holds no {_WEIGHTS[0]}, nor {_PICKLES}: load the model where you trust it, "
            "and save it again with save_pretrained"
        )
    for file in files:
        verified(file)


def _dual_parts(model: Any, folder: Path, where: str) -> dict[str, Any]:
    """Returns the arguments of `Encoder` that a model with a text tower changes."""
    clip = hasattr(model, "visual_projection")
    tower = model.vision_model
    return {
        "representation": "projected",
        "tower": tower,
        "extra_taps": {PRE_PROJECTION: DerivedTap(tower.post_layernorm, _unchanged)}
        if clip
        else {},
        "text": _text_tower(model, folder, where, clip),
    }


def _unchanged(output: object) -> Tensor:
    assert isinstance(output, Tensor), "a LayerNorm gives a tensor"
    return output


def _text_tower(model: Any, folder: Path, where: str, clip: bool) -> TextTower:
    config = model.config.text_config
    made: list[Any] = []

    def tokenize(prompts: Sequence[str]) -> Tensor:
        if not made:
            try:
                with quiet():
                    tokenizer = _library().AutoTokenizer.from_pretrained(folder, **_AS_DATA)
            except Exception as error:
                raise WeightsError(
                    f"the tokenizer of {where} cannot be loaded ({first_line(error)}); pass --head "
                    "FILE"
                ) from error
            made.append(tokenizer)
        # The processors of SigLIP 2 leave the form of prompts to the user.
        texts = list(prompts) if clip else [_canonical(prompt) for prompt in prompts]
        tokens: Tensor = made[0](
            texts,
            padding="max_length",
            truncation=True,
            max_length=config.max_position_embeddings,
            return_tensors="pt",
        ).input_ids
        return tokens

    def encode(tokens: Tensor) -> Tensor:
        tokens = tokens.to(model.device)
        embeddings: Tensor = model.get_text_features(input_ids=tokens).pooler_output
        return nn.functional.normalize(embeddings, dim=-1).float()

    def lengths(tokens: Tensor) -> Tensor:
        ends = tokens if config.eos_token_id == 2 else tokens.eq(config.eos_token_id).int()
        return ends.argmax(dim=1) + 1  # as the library pools; 2 stands in old configurations

    scale, bias = trained_scale(model)
    tokenizer = f"tokenizer of {where}"
    if clip and config.vocab_size == _CLIP_VOCABULARY:
        tokenizer = "CLIP's byte-pair tokenizer"
    elif not clip:
        family = "SigLIP2" if config.vocab_size >= _SIGLIP2_VOCABULARY else "SigLIP"
        tokenizer = f"{family}'s tokenizer"
    return TextTower(
        tokenize=tokenize,
        encode=encode,
        lengths=lengths if clip else all_tokens,
        context_length=config.max_position_embeddings,
        tokenizer=tokenizer,
        templates=imagenet_templates(),
        logit_scale=scale,
        logit_bias=bias,
    )


def _canonical(prompt: str) -> str:
    """Returns a prompt as SigLIP's publishers prepare it: lower case without punctuation.

    >>> _canonical("A photo, of a  Fire_truck!")
    'a photo of a fire truck'
    """
    prompt = prompt.replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return " ".join(prompt.lower().split())


def _fetch(spec: str, rest: str) -> list[Path]:
    """Caches the files of a repository."""
    _library()
    folder, where = _located(spec, rest)
    _check_weights(folder, where)
    return sorted(path for path in folder.iterdir() if path.is_file())


LOADER = Loader(
    forms=("transformers:OWNER/NAME", "transformers:local-dir:FOLDER"),
    load=load,
    takes_checkpoint=False,
    fetch=_fetch,
)
