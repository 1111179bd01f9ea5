"""open_clip encoders, from files that the tests write."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.models.conftest import Saved
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.info import state_digest
from tuiprobe.models.load import load_encoder


@pytest.mark.nightly
def test_a_full_size_resnet_is_the_clip_image_embedding(rn50: Saved) -> None:
    import open_clip
    from open_clip.transform import image_transform

    encoder = load_encoder("open_clip:RN50-quickgelu", checkpoint=rn50.path)
    reference = open_clip.create_model("RN50-quickgelu", load_weights=False)
    reference.load_state_dict(rn50.state)
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
    assert encoder.weights.digest == state_digest(rn50.state)
    assert encoder.weights.source == str(rn50.path)
    assert encoder.preprocessing.source.startswith("preprocessing assumed")
    assert not encoder.module.training
    assert not any(p.requires_grad for p in encoder.module.parameters())
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (90, 70, 3), dtype=np.uint8))
    assert torch.equal(encoder.preprocess(image), image_transform(224, is_train=False)(image))
    taps = {tap.name: tap for tap in encoder.taps()}
    assert (taps["layer1.0"].kind, taps["layer1.0"].channels) == ("map", 256)
    assert (taps["layer4.2"].channels, taps["layer4.2"].channel_dim) == (2048, 1)
    assert taps["attnpool"].kind == "vector"
    assert "pre_projection" not in taps


def test_a_transformer_of_a_folder_and_the_tap_before_its_projection(tiny: Saved) -> None:
    encoder = load_encoder(f"open_clip:local-dir:{tiny.path}")
    assert encoder.weights.kind == "checkpoint"
    assert encoder.weights.source == str(tiny.path)
    loaded = encoder.module.state_dict()
    assert all(torch.equal(loaded[n], t) for n, t in tiny.state.items())
    assert encoder.preprocessing.mean == (0.5,) * 3
    assert encoder.preprocessing.source.startswith("open_clip_config.json of ")
    taps = {tap.name: tap for tap in encoder.taps()}
    block = taps["transformer.resblocks.0"]
    assert (block.kind, block.channels, block.prefix_tokens) == ("token", 64, 1)
    assert (taps["conv1"].kind, taps["conv1"].channel_dim) == ("map", 1)
    assert taps["transformer.resblocks.0.mlp.gelu"].channels == 256
    assert taps["pre_projection"].channels == 64
    seen: dict[str, torch.Tensor] = {}
    names = ["pre_projection", "transformer.resblocks.0", "embedding"]
    with torch.inference_mode():
        with encoder.watch(names, lambda tap, x: seen.update({tap.name: x.clone()})):
            encoder.encode(torch.randn(2, 3, 32, 32))
        # Independent path from the last block to h: layer norm of the class token, projection.
        token = seen["transformer.resblocks.0"][:, 0]
        norm = tiny.state["visual.ln_post.weight"], tiny.state["visual.ln_post.bias"]
        token = torch.nn.functional.layer_norm(token, (64,), *norm)
        assert torch.allclose(seen["pre_projection"], token, atol=1e-5)
        assert torch.allclose(seen["embedding"], token @ tiny.state["visual.proj"], atol=1e-4)


@pytest.mark.parametrize("prefix", ["", "visual.", "model.net."])
def test_a_visual_tower_without_its_text_tower(prefix: str, tiny: Saved, tmp_path: Path) -> None:
    both = load_encoder(f"open_clip:local-dir:{tiny.path}")
    tower = both.tower.state_dict()
    save_file({f"{prefix}{name}": t for name, t in tower.items()}, tmp_path / "w.safetensors")
    encoder = load_encoder(
        f"open_clip:local-dir:{tiny.path}", checkpoint=tmp_path / "w.safetensors"
    )
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(encoder.encode(images), both.encode(images))
    assert (encoder.text, encoder.head()) == (None, None)
    assert encoder.weights.digest == state_digest(tower)
    assert encoder.taps() == both.taps()


def test_a_folder_that_holds_no_model_says_what_is_missing(tiny: Saved, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds no open_clip_config\.json"):
        load_encoder(f"open_clip:local-dir:{tmp_path}")
    config = tmp_path / "open_clip_config.json"
    config.write_text((tiny.path / config.name).read_text())
    with pytest.raises(WeightsError, match="holds no weights"):
        load_encoder(f"open_clip:local-dir:{tmp_path}")
    other = {**tiny.state, "logit_scale": torch.tensor(7.0)}
    torch.save(other, tmp_path / "a.pth")
    assert load_encoder(f"open_clip:local-dir:{tmp_path}").module.logit_scale == 7
    save_file(tiny.state, tmp_path / "z.safetensors")  # preferred to what torch wrote
    assert load_encoder(f"open_clip:local-dir:{tmp_path}").module.logit_scale < 7
    for content in ("{}", '{"model_cfg": []}', '{"model_cfg": {"embed_dim": "x"}}'):
        config.write_text(content)
        with pytest.raises(WeightsError, match="is no open_clip configuration"):
            load_encoder(f"open_clip:local-dir:{tmp_path}")


def test_wrong_shapes_and_missing_keys_are_named(tiny: Saved, tmp_path: Path) -> None:
    state = dict(tiny.state)
    del state["visual.ln_pre.weight"]
    state["visual.conv1.weight"] = torch.zeros(40, 3, 3, 3)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"w\.pt does not fit open_clip:") as error:
        load_encoder(f"open_clip:local-dir:{tiny.path}", checkpoint=tmp_path / "w.pt")
    assert "1 missing (visual.ln_pre.weight)" in str(error.value)
    assert "visual.conv1.weight is (40, 3, 3, 3) in the file, (64, 3, 16, 16)" in str(error.value)


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("open_clip:RN50-quickgelu", WeightsError,
         r"names no weights: add a tag \(openai, yfcc15m, cc12m"),
        ("open_clip:ViT-M-16", WeightsError, "has no published weights: pass --checkpoint"),
        ("open_clip:RN5O/openai", UsageError, r"did you mean .*RN50"),
        ("open_clip:RN50-quickgelu/openay", WeightsError,
         "has no tag 'openay'; its tags are openai"),
        ("open_clip:ViT-B-16/openai@relu", UsageError, "unknown activation 'relu'"),
        ("open_clip:RN50-quickgelu/openai", WeightsError,
         "tuiprobe fetch open_clip:RN50-quickgelu/openai"),
        ("open_clip:hf-hub:nobody/nothing", WeightsError, "nobody/nothing.* are not available"),
        ("timm:hf-hub:nobody/nothing", WeightsError, "nobody/nothing.* are not available"),
        ("resnet", UsageError, "there is no preset 'resnet'"),
        ("vitb16openai", UsageError, r"did you mean .*vitb16_openai"),
        ("ViT-H-14", UsageError, r"did you mean open_clip:ViT-H-14/laion2b_s32b_b79k"),
        ("zzz", UsageError, "a preset, open_clip:ARCH/TAG"),
        ("open_clip:", UsageError, "names no model"),
        ("gguf:x", UsageError, "unknown kind of model 'gguf'"),
        ("x" * 5000, UsageError, "there is no preset"),
        ("timm:resnet5O", UsageError, r"did you mean .*resnet50"),
        ("timm:resnet50.nope", WeightsError, r"no tag 'nope'; its tags are .*a1_in1k"),
        ("timm:resnet18.a1_in1k", WeightsError, r"tuiprobe fetch timm:resnet18\.a1_in1k"),
        ("timm:vit_base_patch16_clip_224.openai", WeightsError,
         r"use timm:vit_base_patch16_clip_quickgelu_224\.openai"),
        ("timm:vit_base_patch16_clip_224.openai@gelu", WeightsError, "are not available"),
        ("torchvision:resnet5O", UsageError, r"did you mean .*resnet50"),
        ("torchvision:resnet50/V9", WeightsError, "its tags are IMAGENET1K_V1, IMAGENET1K_V2"),
        ("torchvision:resnet50", WeightsError, "names no weights"),
        ("transformers:nobody/nothing", WeightsError, "tuiprobe fetch transformers:nobody/nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_says_why_in_one_sentence(spec, kind, message):
    with pytest.raises(kind, match=message) as error:
        load_encoder(spec)
    assert error.value.exit_code == (3 if kind is WeightsError else 2)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="unknown dtype"):
        load_encoder(spec, dtype="int8")
