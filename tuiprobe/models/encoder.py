"""Encoder: one vision model, ready to be probed, from any library."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tuiprobe.errors import UsageError
from tuiprobe.models.heads import Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.models.loaders.from_module import parts_of_module
from tuiprobe.models.prompt_heads import PromptHead, PromptProgress, TextTower
from tuiprobe.models.taps import DerivedTap, Extract, Tap, TapTable, discover
from tuiprobe.results.subject import Representation, Training
from tuiprobe.spec import FINAL_TAP

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Suite
    from tuiprobe.datasets.layout import Ids

__all__ = ["Encoder", "Head", "Tap"]


class Encoder:
    """A vision encoder in eval mode, without gradients.

    `Encoder.from_module` makes one of a torch module; the constructor takes everything else too.

    Attributes:
        name: What the user typed.
        architecture: The library's name of the architecture.
        representation: Kind of h: `projected`, `pooled` or `token`; `none` of answers.
        training: `zero-shot`, `captions`, `finetuned`, `supervised` or `unknown`; by default
            `zero-shot` for an encoder with a text tower.
        width: Channels of h.
        weights: Where the weights came from, with their digest.
        preprocessing: Description of `preprocess` and its source.
        module: The model, including its text tower or classifier, if any.
        tower: The vision tower; tap names are relative to it.
        preprocess: Converts a PIL RGB image to float32 `[3, H, W]`.
        device: Device of `module`.
        dtype: Floating point type of its computation.
        memory_format: How images, and so the maps made of them, lie in memory.
        loader: Name of the loader, for example `open_clip` or `py`.
        tag: Tag of the pretrained weights.
        text: Text tower of a CLIP.
        classifier: The head of the model.
        accuracies: Known accuracy of exactly these weights, by source of the set.
        outputs: What was understood of a module's outputs, where that is more than their layer.
        with_answers: Returns a suite with answers in place of its pictures, given the sample ids to
            measure by set; None for a model that sees pictures.
    """

    def __init__(
        self,
        *,
        name: str,
        architecture: str,
        representation: Representation,
        width: int,
        weights: WeightsInfo,
        preprocessing: PreprocessingInfo,
        module: nn.Module,
        preprocess: Callable[[Image], Tensor],
        forward: Callable[[Tensor], Tensor],
        tower: nn.Module | None = None,
        extra_taps: Mapping[str, DerivedTap] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        loader: str = "py",
        tag: str | None = None,
        text: TextTower | None = None,
        classifier: Head | None = None,
        training: Training | None = None,
        accuracies: Mapping[str, float] | None = None,
        outputs: str = "",
    ) -> None:
        """Prepares the module: eval mode, no gradients, moved to device and dtype.

        The arguments are the attributes, plus `forward`, which maps images `[B, 3, H, W]` to h
        `[B, width]`, and `extra_taps`, by name, that are not the output of any module.
        """
        self.name = name
        self.architecture = architecture
        self.representation: Representation = representation
        self.width = width
        self.weights = weights
        self.preprocessing = preprocessing
        self.module = module.eval()
        for parameter in module.parameters():  # TorchScript has no module.requires_grad_
            parameter.requires_grad_(False)
        self.memory_format = torch.contiguous_format
        self.move(device, dtype)
        self.tower = tower if tower is not None else module
        self.preprocess = preprocess
        self.loader = loader
        self.tag = tag
        self.text = text
        self.classifier = classifier
        self.training: Training = training or ("unknown" if text is None else "zero-shot")
        self.accuracies = dict(accuracies or {})
        self.outputs = outputs
        self.with_answers: Callable[[Suite, Mapping[str, Ids]], Suite] | None = None
        self._forward = forward
        self._extra_taps = dict(extra_taps or {})
        self._watchers: list[Callable[[Tensor], None]] = []

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        *,
        preprocess: object = None,
        classes: Sequence[str] | str | os.PathLike[str] | None = None,
        head: nn.Linear | Head | None = None,
        name: str | None = None,
    ) -> Encoder:
        """Returns the encoder of a torch module; the module itself is left as it is.

        Width and representation are found by a forward pass. If the module ends in a linear layer,
        which a softmax or a sigmoid may follow, that is its head, and h the input of the layer;
        else h is the output. Outputs that are probabilities, like those of an ensemble, are
        mapped to logits where `classes` says that they are answers.

        Args:
            module: Takes images `[B, 3, H, W]`, and returns one tensor `[B, channels]`.
            preprocess: What images go through in validation: a function from a PIL image to a
                float tensor `[3, H, W]`, or weights of torchvision. None takes the configuration
                of a timm model, which is then marked as assumed.
            classes: Name of each output, in their order, or a file with one a line.
            head: The classifier, if it is not found: a linear layer of the module, or one that
                takes its output.
            name: Name in reports, behind `py:`; None for that of the class.

        Raises:
            UsageError: If the module, its output or the preprocessing do not fit; says what to do.
        """
        return cls(
            **parts_of_module(module, preprocess=preprocess, classes=classes, head=head, name=name)
        )

    def encode(self, images: Tensor) -> Tensor:
        """Computes h, float32 `[B, width]`; call it under `torch.inference_mode()`.

        Args:
            images: Preprocessed images `[B, 3, H, W]` on any device.
        """
        images = images.to(
            self.device, self.dtype, non_blocking=True, memory_format=self.memory_format
        )
        h = self._forward(images).float()
        for watcher in self._watchers:
            watcher(h)
        return h

    def move(self, device: str | torch.device, dtype: torch.dtype) -> None:
        """Moves the model to a device and a floating point type."""
        self.device = torch.device(device)
        self.dtype = dtype
        self.module.to(self.device, dtype)

    @contextmanager
    def in_type(self, dtype: torch.dtype) -> Iterator[None]:
        """Computes in another floating point type inside the block; its weights stay unrounded."""
        before = self.dtype
        stored = [(t, t.data) for t in (*self.module.parameters(), *self.module.buffers())]
        try:
            for tensor, data in stored:
                if data.is_floating_point():
                    tensor.data = data.to(dtype)
            self.dtype = dtype
            yield
        finally:
            for tensor, data in stored:
                tensor.data = data
            self.dtype = before

    def use_channels_last(self) -> None:
        """Lays images, maps and filters out with channels last, for faster convolutions.

        Changes nothing on devices other than CPU and CUDA, or where the tower has one convolution
        alone: the patches of a transformer, which makes no maps.
        """
        layers = [layer for layer in self.tower.modules() if isinstance(layer, nn.Conv2d)]
        if self.device.type not in ("cpu", "cuda") or len(layers) < 2:
            return
        self.memory_format = torch.channels_last
        for layer in layers:
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def head(
        self,
        classes: Sequence[str] | None = None,
        templates: Sequence[str] | None = None,
        *,
        cache: Path | None = None,
        progress: PromptProgress | None = None,
    ) -> Head | None:
        """Returns the linear head over h.

        A CLIP builds a zero-shot head from class names and templates (by default those of the
        model). Any other model returns its classifier.

        Args:
            classes: Class names as used in prompts.
            templates: Prompt templates with `{}` for the class name.
            cache: Cache folder of zero-shot heads; see `PromptHead`.
            progress: Called with the number of finished classes and of all classes.

        Raises:
            UsageError: If a template lacks `{}`.
            WeightsError: If a fetched head is damaged.
        """
        if self.text is None:
            return self.classifier
        if not classes:
            return None
        templates = self.text.templates if templates is None else templates
        prompts = self._prompts(classes, templates, cache)
        return prompts.fetched(self.width) or prompts.build(progress)

    def prompts_left(self, classes: Sequence[str], templates: Sequence[str]) -> int:
        """Returns the number of prompts that `head` would encode; 0 if it is cached or fetched.

        The arguments are those of `head`.
        """
        if self.text is None:
            return 0
        prompts = self._prompts(classes, templates, None)
        return 0 if prompts.fetched(self.width) else prompts.classes_left() * len(templates)

    def publish_head(self, head: Head) -> Path:
        """Keeps a zero-shot head in the cache of heads, for any machine; returns the file."""
        return self._prompts(head.classes, head.templates, None).publish(head)

    def _prompts(
        self, classes: Sequence[str], templates: Sequence[str], cache: Path | None
    ) -> PromptHead:
        assert self.text is not None, "a head of prompts needs a text tower"
        # The architecture's name includes an activation set by the user.
        digest = f"{self.weights.digest} {self.architecture} {self.dtype}"
        conditions = f"torch {torch.__version__} on {self.device.type}"
        if self.device.type == "cpu":
            capability, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
            conditions += f" {capability}, {threads} threads"
        return PromptHead(self.text, tuple(classes), tuple(templates), digest, conditions, cache)

    def parameters(self) -> int:
        """Returns the number of parameters of the vision tower."""
        return sum(p.numel() for p in self.tower.parameters())

    def taps(self) -> tuple[Tap, ...]:
        """Returns the taps, where activations can be read; the final representation is last."""
        final = Tap(FINAL_TAP, "vector", self.width)
        return (*(tap for tap, _, _ in self._table.entries.values()), final)

    def untappable(self) -> dict[str, str]:
        """Returns the modules that cannot be tapped, with the reason for each."""
        return dict(self._table.refused)

    @contextmanager
    def watch(
        self, taps: Iterable[Tap | str], callback: Callable[[Tap, Tensor], None]
    ) -> Iterator[None]:
        """Calls `callback(tap, tensor)` for every tap in every `encode` inside the block.

        The tensor is `[B, C]` for a vector tap and `[B, T, C]` for a token tap (a view if the model
        uses another order); for a map tap it is unchanged, see `tap.channel_dim`. Read it before
        the callback returns, because the model may overwrite it.

        Raises:
            UsageError: If a name is not in `taps()`.
        """
        handles = []
        watchers: list[Callable[[Tensor], None]] = []
        try:
            for requested in taps:
                name = requested if isinstance(requested, str) else requested.name
                if name == FINAL_TAP:
                    watchers.append(partial(callback, Tap(FINAL_TAP, "vector", self.width)))
                    continue
                tap, module, extract = self._entry(name)
                handles.append(module.register_forward_hook(_hook(callback, tap, extract)))
            self._watchers += watchers
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._watchers = [watcher for watcher in self._watchers if watcher not in watchers]

    def _entry(self, name: str) -> tuple[Tap, nn.Module, Extract]:
        if name not in self._table.entries:
            reason = self._table.refused.get(name, "the encoder has no such module")
            raise UsageError(f"cannot tap {name!r} of {self.name}: {reason}")
        return self._table.entries[name]

    @cached_property
    def _table(self) -> TapTable:
        height, width = self.preprocessing.size
        images = torch.zeros(2, 3, height, width, device=self.device, dtype=self.dtype)
        return discover(self.tower, self._forward, images, self._extra_taps)


def _hook(
    callback: Callable[[Tap, Tensor], None], tap: Tap, extract: Extract
) -> Callable[[nn.Module, object, object], None]:
    def hook(module: nn.Module, inputs: object, output: object) -> None:
        callback(tap, extract(output))

    return hook
