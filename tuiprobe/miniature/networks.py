"""The networks of the miniature: one small vision backbone, with a text tower or a linear head."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from tuiprobe.miniature.captions import CONTEXT, WordTokenizer

if TYPE_CHECKING:
    from open_clip import CLIP

LAYERS = (1, 2, 2, 1)
WIDTH = 16
EMBED = 128
IMAGE_SIZE = 64
MEAN = (0.5, 0.5, 0.5)
STD = (0.27, 0.27, 0.27)


def new_clip() -> "CLIP":
    """Returns an untrained CLIP: a ModifiedResNet and a two-layer text tower."""
    from open_clip import CLIP

    return CLIP(
        embed_dim=EMBED,
        vision_cfg={"layers": list(LAYERS), "width": WIDTH, "image_size": IMAGE_SIZE},
        text_cfg={
            "context_length": CONTEXT,
            "vocab_size": WordTokenizer().vocab_size,
            "width": 128,
            "heads": 4,
            "layers": 2,
        },
    )


class Classifier(nn.Module):
    """The same backbone under a linear head, `logits = head(visual(images))`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.visual: nn.Module = new_clip().visual
        self.head = nn.Linear(EMBED, classes)

    def encode_image(self, images: Tensor) -> Tensor:
        """Returns representations `[B, 128]` that feed the head."""
        features: Tensor = self.visual(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits `[B, classes]`."""
        logits: Tensor = self.head(self.encode_image(images))
        return logits
