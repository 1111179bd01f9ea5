"""The miniature's network and preprocessing against open_clip's and torchvision's."""

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from tuiprobe.miniature import networks
from tuiprobe.miniature.captions import CONTEXT, WordTokenizer
from tuiprobe.models.load import load_encoder


def test_the_network_is_that_of_open_clip_bit_for_bit() -> None:
    vision = {"layers": [*networks.LAYERS], "width": networks.WIDTH, "image_size": 64}
    text = {"context_length": CONTEXT, "vocab_size": WordTokenizer().vocab_size,
            "width": 128, "heads": 4, "layers": 2}  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        ours = networks.CLIP().eval()
        torch.manual_seed(5)
        theirs = open_clip.CLIP(networks.EMBED, vision, text).eval()  # type: ignore[arg-type]
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert all(torch.equal(ours.state_dict()[name], state[name]) for name in state)
    named = dict(theirs.visual.named_modules()).keys()
    assert dict(ours.visual.named_modules()).keys() == named
    trained = load_encoder("mini_clip")
    for module in (ours, theirs):
        module.load_state_dict(trained.module.state_dict())
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = WordTokenizer()(["a cat", "a photo of a red car", "two dogs on grass"])
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last):
            batch = images.to(memory_format=layout)
            assert torch.equal(ours.visual(batch), theirs.visual(batch))
        expected = theirs.encode_text(tokens, normalize=True)
        assert torch.equal(ours.encode_text(tokens, normalize=True), expected)
        assert trained.text is not None
        short = tokens[:, : int(trained.text.lengths(tokens).max())]
        assert torch.allclose(trained.text.encode(short), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (100, 64), (64, 131), (97, 203), (31, 20)])
def test_the_preprocessing_is_that_of_torchvision_bit_for_bit(size: tuple[int, int]) -> None:
    config = PreprocessCfg(size=64, mean=networks.MEAN, std=networks.STD)
    theirs = image_transform_v2(config, is_train=False)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    encoder = load_encoder("mini_clip")
    for image in (Image.fromarray(pixels), Image.fromarray(pixels[..., 0])):
        assert torch.equal(encoder.preprocess(image), theirs(image))
