"""The encoder of samples that are encoded already: an identity, as the user describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from tuiprobe.errors import RunError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, Representation, Training, WeightsInfo

if TYPE_CHECKING:
    from PIL.Image import Image

LOADER = "embeddings"


def identity_encoder(
    name: str,
    *,
    source: str,
    digest: str,
    width: int,
    representation: Representation,
    training: Training,
) -> Encoder:
    """Returns the encoder of samples that are encoded already.

    Args:
        name: Name in the report.
        source: Where the samples are from.
        digest: Digest of the samples, in place of that of weights.
        width: Channels of the samples.
        representation: Kind of the samples, by the user.
        training: How their encoder was trained, by the user.
    """
    module = nn.Identity()
    return Encoder(
        name=name,
        architecture="not known",
        representation=representation,
        training=training,
        width=width,
        weights=WeightsInfo(kind="unknown", source=source, digest=digest),
        preprocessing=PreprocessingInfo(
            size=(0, 0), mean=(), std=(), interpolation="", source=source, known=False
        ),
        module=module,
        preprocess=_refuse,
        forward=module,
        loader=LOADER,
    )


def _refuse(image: Image) -> Tensor:
    raise RunError("the encoder of these samples is not known: no image can be measured")
