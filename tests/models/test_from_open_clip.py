"""open_clip encoders on full-size architectures, from files that the tests write."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models import from_open_clip
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import state_digest
from tuiprobe.models.load import load_encoder
from tuiprobe.models.registry import Wanted

pytestmark = pytest.mark.slow

State = Callable[[str], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def rn50(rn50_file: Path) -> Encoder:
    return load_encoder("open_clip:RN50-quickgelu", checkpoint=rn50_file)


def test_resnet_from_a_file_is_the_clip_image_embedding(
    rn50: Encoder, rn50_file: Path, open_clip_state: State
) -> None:
    import open_clip

    encoder = rn50
    state = open_clip_state("RN50-quickgelu")
    reference = open_clip.create_model("RN50-quickgelu", load_weights=False)
    reference.load_state_dict(state)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = (
            reference.eval()
            .to(memory_format=torch.channels_last)
            .encode_image(images.to(memory_format=torch.channels_last), normalize=False)
        )
        assert torch.equal(encoder.encode(images), expected)
    assert (encoder.representation, encoder.width) == ("projected", 1024)
    assert encoder.weights.kind == "checkpoint"
    assert encoder.weights.digest == state_digest(state)
    assert encoder.weights.source == str(rn50_file)
    assert encoder.preprocessing.source.startswith("preprocessing assumed")
    assert not encoder.module.training
    assert not any(p.requires_grad for p in encoder.module.parameters())


def test_preprocessing_is_the_librarys_own(rn50: Encoder) -> None:
    from open_clip.transform import image_transform

    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (90, 70, 3), dtype=np.uint8))
    expected = image_transform(224, is_train=False)(image)
    assert torch.equal(rn50.preprocess(image), expected)


def test_resnet_taps(rn50: Encoder) -> None:
    taps = {tap.name: tap for tap in rn50.taps()}
    assert (taps["layer1.0"].kind, taps["layer1.0"].channels) == ("map", 256)
    assert (taps["layer4.2"].channels, taps["layer4.2"].channel_dim) == (2048, 1)
    assert taps["attnpool"].kind == "vector"
    assert "pre_projection" not in taps


def test_transformer_taps_and_the_tap_before_the_projection(
    tmp_path: Path, open_clip_state: State
) -> None:
    state = open_clip_state("ViT-B-32")
    save_file(state, tmp_path / "w.safetensors")
    encoder = load_encoder(
        "open_clip:ViT-B-32/laion2b_s34b_b79k", checkpoint=tmp_path / "w.safetensors"
    )
    taps = {tap.name: tap for tap in encoder.taps()}
    block = taps["transformer.resblocks.0"]
    assert (block.kind, block.channels, block.prefix_tokens) == ("token", 768, 1)
    assert (taps["conv1"].kind, taps["conv1"].channel_dim) == ("map", 1)
    assert taps["transformer.resblocks.11.mlp.gelu"].channels == 3072
    assert taps["pre_projection"].channels == 768
    seen: dict[str, torch.Tensor] = {}
    wanted = ["pre_projection", "transformer.resblocks.11", "embedding"]
    with torch.inference_mode():
        with encoder.watch(wanted, lambda tap, x: seen.update({tap.name: x.clone()})):
            encoder.encode(torch.randn(2, 3, 224, 224))
        # Independent path from the last block to h: layer norm of the class token, projection.
        token = seen["transformer.resblocks.11"][:, 0]
        token = torch.nn.functional.layer_norm(
            token, (768,), state["visual.ln_post.weight"], state["visual.ln_post.bias"]
        )
        assert torch.allclose(seen["pre_projection"], token, atol=1e-5)
        assert torch.allclose(seen["embedding"], token @ state["visual.proj"], atol=1e-4)
    assert encoder.preprocessing.source.startswith("open_clip tag ViT-B-32/laion2b_s34b_b79k")


def test_an_architecture_alone_is_never_run_untrained() -> None:
    with pytest.raises(WeightsError, match=r"names no weights: add a tag \(openai, yfcc15m, cc12m"):
        load_encoder("open_clip:RN50-quickgelu")
    with pytest.raises(WeightsError, match="has no published weights: pass --checkpoint"):
        load_encoder("open_clip:ViT-M-16")


def test_untrained_is_reproducible_and_says_so() -> None:
    wanted = Wanted("x", "RN50-quickgelu", None, None, "cpu", torch.float32, untrained=True)
    state = torch.random.get_rng_state()
    first, second = from_open_clip.load(wanted), from_open_clip.load(wanted)
    assert first.weights == second.weights
    assert first.weights.kind == "untrained"
    assert torch.equal(state, torch.random.get_rng_state())


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*RN50"):
        load_encoder("open_clip:RN5O/openai")
    with pytest.raises(WeightsError, match="has no tag 'openay'; its tags are openai"):
        load_encoder("open_clip:RN50-quickgelu/openay")
    for spec in ("resnet", "open_clip:", "gguf:x", "open_clip:ViT-B-16/openai@relu"):
        with pytest.raises(UsageError):
            load_encoder(spec)
    with pytest.raises(UsageError, match="unknown dtype"):
        load_encoder("open_clip:RN50-quickgelu", dtype="int8")


def test_a_file_of_another_architecture_is_refused(rn50_file: Path) -> None:
    with pytest.raises(WeightsError, match=r"rn50\.safetensors does not fit open_clip:ViT-B-32"):
        load_encoder("open_clip:ViT-B-32", checkpoint=rn50_file)


def test_wrong_shapes_and_missing_keys_are_named(tmp_path: Path, open_clip_state: State) -> None:
    state = open_clip_state("RN50-quickgelu")
    del state["visual.layer1.0.conv1.weight"]
    state["visual.conv1.weight"] = torch.zeros(40, 3, 3, 3)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError) as error:
        load_encoder("open_clip:RN50-quickgelu", checkpoint=tmp_path / "w.pt")
    assert "1 missing (visual.layer1.0.conv1.weight)" in str(error.value)
    assert "visual.conv1.weight is (40, 3, 3, 3) in the file, (32, 3, 3, 3)" in str(error.value)


def test_weights_that_cannot_be_downloaded_are_an_error() -> None:
    with pytest.raises(WeightsError, match="tuiprobe fetch open_clip:RN50-quickgelu/openai") as e:
        load_encoder("open_clip:RN50-quickgelu/openai")
    assert e.value.exit_code == 3


def test_the_activation_of_a_tag_is_enforced(rn50_file: Path) -> None:
    with pytest.raises(WeightsError, match="use open_clip:RN50-quickgelu/openai"):
        load_encoder("open_clip:RN50/openai", checkpoint=rn50_file)
    insisted = load_encoder("open_clip:RN50/openai@gelu", checkpoint=rn50_file)
    assert insisted.tag == "openai"
