"""Text towers: cut prompts give open_clip's own head, and only causal towers get them."""

from typing import Any

import open_clip
import pytest
import torch
from torch import nn

from tuiprobe.models.loaders.from_open_clip import TextSide
from tuiprobe.models.prompt_heads import TextTower, prompt_rows

VISION = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
END = 49407
CLASSES = ("cat", "fire truck", "northern saw-whet owl", "hook")
TEMPLATES = ("a {}.", "a photo of many of the {} that were seen today.", "{}")

TOWERS: dict[str, tuple[type[nn.Module], dict[str, Any], bool]] = {
    "CLIP": (open_clip.CLIP, {}, True),
    "pooled at the first end token": (open_clip.CLIP, {"pool_type": "eos", "eos_id": END}, True),
    "a tower of its own": (open_clip.CustomTextCLIP, {}, True),
    "the same, pooled at the first end token": (
        open_clip.CustomTextCLIP, {"pool_type": "eos", "eos_id": END}, True
    ),
    "SigLIP": (open_clip.CustomTextCLIP, {"no_causal_mask": True, "pool_type": "last"}, False),
    "pooled at the last token": (open_clip.CLIP, {"pool_type": "last"}, False),
    "not causal": (open_clip.CLIP, {"no_causal_mask": True}, False),
    "a token of its own": (open_clip.CustomTextCLIP, {"embed_cls": True}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", TOWERS)
def test_the_head_is_open_clips_and_only_causal_towers_get_fewer_tokens(name: str) -> None:
    kind, options, cuts = TOWERS[name]
    torch.manual_seed(0)
    model: Any = kind(32, VISION, {**TEXT, **options}).eval()
    tokenizer = open_clip.get_tokenizer("RN50")
    side, seen = TextSide(model), list[int]()
    embedding = model.text.token_embedding if hasattr(model, "text") else model.token_embedding
    embedding.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[1]))
    text = TextTower(tokenizer, side.encode, 77, "", TEMPLATES, lengths=side.lengths)
    rows = prompt_rows(text, CLASSES, TEMPLATES)
    assert (max(seen) < 20) if cuts else (seen == [77])
    theirs = open_clip.build_zero_shot_classifier(model, tokenizer, CLASSES, TEMPLATES).T
    assert (rows - theirs).abs().max() < 1e-6
    assert (rows - rows.mean(dim=0)).abs().max() > 1e-3  # classes differ
