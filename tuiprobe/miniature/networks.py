"""The networks of the miniature: a CLIP, and its vision tower under a linear head.

They compute what open_clip's `CLIP` of the same sizes does, bit for bit, with its names. open_clip
itself is not imported, because that takes as long as importing torch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tuiprobe.miniature.captions import CONTEXT, WordTokenizer

LAYERS = (1, 2, 2, 1)
WIDTH = 16
EMBED = 128
IMAGE_SIZE = 64
MEAN = (0.5, 0.5, 0.5)
STD = (0.27, 0.27, 0.27)

_HEADS = WIDTH * 32 // 64
_TEXT_LAYERS, _TEXT_WIDTH, _TEXT_HEADS = 2, 128, 4
_EXPANSION = 4


class Bottleneck(nn.Module):
    """A residual block that pools before a convolution instead of striding."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.act2 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.act3 = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(inputs, outputs, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`."""
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        out += x if self.downsample is None else self.downsample(x)
        result: Tensor = self.act3(out)
        return result


class AttentionPool(nn.Module):
    """Pools a map by attention of its mean over its positions."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions + 1, width) / width**0.5)
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, EMBED)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, width, H, W]` to `[B, EMBED]`."""
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x], dim=0)
        x = x + self.positional_embedding[:, None, :].to(x.dtype)
        pooled: Tensor = functional.multi_head_attention_forward(
            query=x, key=x, value=x,
            embed_dim_to_check=x.shape[-1],
            num_heads=_HEADS,
            q_proj_weight=self.q_proj.weight,
            k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            bias_k=None, bias_v=None, add_zero_attn=False, dropout_p=0.0,
            out_proj_weight=self.c_proj.weight,
            out_proj_bias=self.c_proj.bias,
            use_separate_proj_weight=True,
            training=self.training,
            need_weights=False,
        )[0]  # fmt: skip
        return pooled[0]


class VisionTower(nn.Module):
    """CLIP's ResNet: three convolutions, four groups of blocks, attention pooling."""

    def __init__(self) -> None:
        super().__init__()
        half = WIDTH // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.act2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(half, WIDTH, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(WIDTH)
        self.act3 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(2)
        inputs = WIDTH
        for index, blocks in enumerate(LAYERS):
            planes = WIDTH * 2**index
            group = nn.Sequential(Bottleneck(inputs, planes, 2 if index else 1))
            inputs = planes * _EXPANSION
            for _ in range(1, blocks):
                group.append(Bottleneck(inputs, planes, 1))
            self.add_module(f"layer{index + 1}", group)
        self.attnpool = AttentionPool((IMAGE_SIZE // 32) ** 2, inputs)
        for name in ("q_proj", "k_proj", "v_proj", "c_proj"):
            nn.init.normal_(getattr(self.attnpool, name).weight, std=inputs**-0.5)
        for name, parameter in self.named_parameters():
            if name.startswith("layer") and name.endswith("bn3.weight"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images `[B, 3, 64, 64]` to embeddings `[B, EMBED]`."""
        for layer in self.children():
            x = layer(x)
        return x


class TextBlock(nn.Module):
    """A transformer block that normalises first."""

    def __init__(self) -> None:
        super().__init__()
        width = _TEXT_WIDTH
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, _TEXT_HEADS, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Maps tokens `[B, T, width]` to as many, under a mask `[T, T]`."""
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask.to(y.dtype))[0]
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result

    def initialise(self) -> None:
        """Draws weights as CLIP does."""
        width = _TEXT_WIDTH
        projection = width**-0.5 * (2 * _TEXT_LAYERS) ** -0.5
        nn.init.normal_(self.attn.in_proj_weight, std=width**-0.5)
        nn.init.normal_(self.attn.out_proj.weight, std=projection)
        nn.init.normal_(self.mlp.get_submodule("c_fc").weight, std=(2 * width) ** -0.5)  # type: ignore[arg-type]
        nn.init.normal_(self.mlp.get_submodule("c_proj").weight, std=projection)  # type: ignore[arg-type]


class CLIP(nn.Module):
    """An untrained CLIP: the vision tower, and a text tower of two layers."""

    attn_mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.visual = VisionTower()
        embedding = nn.Embedding(WordTokenizer().vocab_size, _TEXT_WIDTH)  # drawn before the blocks
        blocks = [TextBlock() for _ in range(_TEXT_LAYERS)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.token_embedding = embedding
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT, _TEXT_WIDTH))
        self.ln_final = nn.LayerNorm(_TEXT_WIDTH)
        mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu_(1)
        self.register_buffer("attn_mask", mask, persistent=False)
        self.text_projection = nn.Parameter(torch.empty(_TEXT_WIDTH, EMBED))
        self.logit_scale = nn.Parameter(torch.ones([]) * math.log(1 / 0.07))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        for block in blocks:
            block.initialise()
        nn.init.normal_(self.text_projection, std=_TEXT_WIDTH**-0.5)

    def encode_image(self, images: Tensor) -> Tensor:
        """Returns embeddings `[B, EMBED]` of images `[B, 3, 64, 64]`."""
        features: Tensor = self.visual(images)
        return features

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        """Returns embeddings `[B, EMBED]` of tokens `[B, T]`, T at most 16, at the end token."""
        length = tokens.shape[1]
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        for block in self.transformer["resblocks"].children():
            x = block(x, self.attn_mask[:length, :length])
        x = self.ln_final(x)[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
        x = x @ self.text_projection
        return functional.normalize(x, dim=-1) if normalize else x

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns normalised embeddings of both, and the factor of their products."""
        image = functional.normalize(self.visual(images), dim=-1)
        return image, self.encode_text(tokens, normalize=True), self.logit_scale.exp()


class Classifier(nn.Module):
    """The same backbone under a linear head, `logits = head(visual(images))`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.visual = CLIP().visual
        self.head = nn.Linear(EMBED, classes)

    def encode_image(self, images: Tensor) -> Tensor:
        """Returns representations `[B, 128]` that feed the head."""
        features: Tensor = self.visual(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits `[B, classes]`."""
        logits: Tensor = self.head(self.encode_image(images))
        return logits
