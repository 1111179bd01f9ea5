"""Text towers of open_clip models, whose prompts need not be padded to the context length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from tuiprobe.models.prompt_heads import TextTower


class TextSide(nn.Module):
    """The text tower of an open_clip model.

    A causal tower that pools at the end token computes the same embedding from the tokens up to
    that one. It is then called with shorter tokens, which take a fraction of the time, and with its
    positional embedding and attention mask cut to them. Towers that see the padding (SigLIP, those
    of transformers) always get all tokens.

    Attributes:
        lengths: Maps tokens `[n, length]` to the number of tokens up to the end token; None if the
            tower sees all.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        custom = isinstance(model, open_clip.CustomTextCLIP)
        tower = model.text if custom else model
        self._place = "model.text." if custom else "model."
        self.lengths = _lengths(tower) if custom or isinstance(model, open_clip.CLIP) else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes normalised embeddings `[n, width]` from tokens on the model's device."""
        embeddings: Tensor = self.model.encode_text(tokens, normalize=True)
        return embeddings

    def encode(self, tokens: Tensor) -> Tensor:
        """Computes normalised embeddings, float32 `[n, width]`, from tokens `[n, length]`."""
        tokens = tokens.to(next(self.parameters()).device)
        if self.lengths is None:
            return self.forward(tokens).float()
        length, place = tokens.shape[1], self._place
        cut = {
            f"{place}positional_embedding": self.get_parameter(f"{place}positional_embedding")[
                :length
            ],
            f"{place}attn_mask": self.get_buffer(f"{place}attn_mask")[:length, :length],
        }
        embeddings: Tensor = torch.func.functional_call(self, cut, (tokens,))
        return embeddings.float()


def _lengths(tower: Any) -> Callable[[Tensor], Tensor] | None:
    """Returns the function that counts tokens up to the end; None if the tower sees others."""
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None:
        return None
    of_clip = "text_" if isinstance(tower, open_clip.CLIP) else ""
    pool: str = getattr(tower, f"{of_clip}pool_type", "")
    end: Any = getattr(tower, f"{of_clip}eos_id", None)
    if pool == "argmax":
        return lambda tokens: tokens.argmax(dim=1) + 1
    if pool == "eos":
        return lambda tokens: tokens.eq(end).int().argmax(dim=1) + 1
    return None


def text_tower(
    model: Any,
    tokenize: Callable[[Sequence[str]], Tensor],
    *,
    context_length: int,
    tokenizer: str,
    templates: tuple[str, ...],
) -> TextTower:
    """Returns the text side of an open_clip model, with its trained scale.

    Args:
        model: The model.
        tokenize: Maps prompts to token ids `[n, context_length]`.
        context_length: Tokens per prompt.
        tokenizer: Name of the tokenizer, for the report.
        templates: Default prompt templates.
    """
    side = TextSide(model)
    scale, bias = trained_scale(model)
    return TextTower(
        tokenize=tokenize,
        encode=side.encode,
        lengths=side.lengths,
        context_length=context_length,
        tokenizer=tokenizer,
        templates=templates,
        logit_scale=scale,
        logit_bias=bias,
    )


def trained_scale(model: nn.Module) -> tuple[float | None, float]:
    """Returns logit scale and logit bias of a CLIP, from its parameters of these names.

    The parameter `logit_scale` is the logarithm. If the scale is missing, without data (on the
    meta device) or not a finite positive number, it is None.
    """
    scale, bias = (getattr(model, name, None) for name in ("logit_scale", "logit_bias"))
    if scale is not None and scale.is_meta:
        return None, 0.0
    factor = 0.0 if scale is None else float(scale.detach().float().exp())
    shift = 0.0 if bias is None else float(bias.detach().float())
    return factor if 0 < factor < float("inf") else None, shift
