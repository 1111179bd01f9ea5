"""The encoders of the paper, by name."""

from collections import Counter

from tuiprobe.catalog.published_models import NORMALIZATIONS, all_published, presets

BACKBONES = {"RN50": 1024, "RN101": 512, "ViT-B/32": 512, "ViT-B/16": 512, "ViT-L/14": 768}


def test_the_encoders_of_the_paper_are_complete() -> None:
    zero_shot = [p for p in presets().values() if p.training == "zero-shot" and p.size == 224]
    public = Counter(p.backbone for p in zero_shot if p.public)
    assert public == {"RN50": 3, "RN101": 2, "ViT-B/32": 4, "ViT-B/16": 4, "ViT-L/14": 4}
    assert [p.name for p in zero_shot if not p.public] == ["rn101_cc12m"]
    assert all(p.width == BACKBONES[p.backbone] for p in zero_shot)


def test_published_specs_exist() -> None:
    for preset in presets().values():
        assert preset.normalization in NORMALIZATIONS
        assert preset.training in {"zero-shot", "captions", "finetuned", "supervised"}
        if preset.tag is not None:
            assert preset.spec in all_published()


def test_weights_of_presets_have_the_activation_the_list_says() -> None:
    for preset in presets().values():
        if preset.loader == "open_clip" and preset.tag is not None:
            quick = all_published()[preset.spec].quickgelu
            assert (preset.activation == "quickgelu") == quick
