"""Checkpoints of transformers, built from small configurations and compared with its own passes."""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.docs.blocks import ROOT, blocks
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.checks.encoder_checks import check_encoder
from tuiprobe.models.checks.text_checks import check_text
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.models.taps import PRE_PROJECTION

hf = pytest.importorskip("transformers", reason="transformers: needs the extra of that name")

NAMES = ["red car", "green tree", "blue bus"]
PROMPTS = ["a photo of a cat", "a photo of a fire truck"]
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(0)
    sizes = ((40, 50, 3), (64, 33, 3), (32, 32, 3))
    return [Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8)) for size in sizes]


@pytest.fixture(scope="module", autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def saved(model: Any, folder: Path, *others: Any) -> Path:
    for part in (model, *others):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a classifier of three named classes."""
    config = hf.ViTConfig(**VISION, id2label=dict(enumerate(NAMES)))
    processor = hf.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.4, 0.5, 0.6])
    return saved(hf.ViTForImageClassification(config), tmp_path_factory.mktemp("vit"), processor)


def clip_tokenizer() -> Any:
    """Returns the tokenizer of CLIP, from the merges that open_clip ships."""
    packed = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    encoder = open_clip.SimpleTokenizer().encoder
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): index for token, index in encoder.items()}
    return hf.CLIPTokenizer(vocabulary, [tuple(line.split()) for line in lines])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = {**SMALL, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    config = hf.CLIPConfig(
        text_config=text, vision_config=VISION, projection_dim=12, logit_scale_init_value=3.1
    )
    processor = hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    return saved(hf.CLIPModel(config), tmp_path_factory.mktemp("clip"), processor, clip_tokenizer())


def siglip_tokenizer(folder: Path) -> Any:
    """Returns a tokenizer of SigLIP's kind, trained on a few words."""
    pieces = pytest.importorskip("sentencepiece", reason="SigLIP's tokenizer needs sentencepiece")
    pytest.importorskip("google.protobuf", reason="SigLIP's tokenizer needs protobuf")
    corpus = iter([*NAMES, *PROMPTS, "the quick brown fox jumps over the lazy dog"] * 4)
    pieces.SentencePieceTrainer.train(
        sentence_iterator=corpus, model_prefix=str(folder / "spiece"), vocab_size=60,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return hf.SiglipTokenizer(str(folder / "spiece.model"))


def gemma_tokenizer(folder: Path) -> Any:
    """Returns a tokenizer of SigLIP 2's kind: characters, and no form of its own."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    letters = [*"▁abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ.,!"]
    vocabulary = {token: index for index, token in enumerate(special + letters)}
    return hf.GemmaTokenizer(
        vocabulary, [], padding_side="right", add_bos_token=False, add_eos_token=True
    )


def siglip(folder: Path, tokenizer: Callable[[Path], Any], vocabulary: int) -> Path:
    text = {**SMALL, "vocab_size": vocabulary, "max_position_embeddings": 64, "projection_size": 16}
    model = hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=VISION))
    model.logit_scale.data.fill_(2.5)
    model.logit_bias.data.fill_(-7.0)
    processor = hf.SiglipImageProcessor(size={"height": 32, "width": 32})
    return saved(model, folder, processor, tokenizer(folder))


def tensors(encoder: Encoder, pictures: list[Image.Image]) -> Tensor:
    return torch.stack([encoder.preprocess(picture) for picture in pictures])


def statuses(encoder: Encoder) -> dict[str, str]:
    return {check.name: check.status for check in check_encoder(encoder)}


def test_a_classifier_answers_as_its_library_does(vit: Path, pictures: list[Image.Image]) -> None:
    encoder = load_encoder(f"transformers:local-dir:{vit}")
    model = hf.AutoModelForImageClassification.from_pretrained(vit)
    processor = hf.AutoImageProcessor.from_pretrained(vit)
    head = encoder.head()
    with torch.inference_mode():
        expected = model(**processor(pictures, return_tensors="pt")).logits
        logits = head.logits(encoder.encode(tensors(encoder, pictures)))
    assert torch.allclose(logits, expected, atol=1e-5)
    assert (head.classes, head.names_from) == (
        tuple(NAMES),
        "id2label of ViTForImageClassification",
    )
    assert (encoder.representation, encoder.width, encoder.loader) == ("token", 16, "transformers")
    assert encoder.preprocessing.mean == pytest.approx([0.4, 0.5, 0.6], abs=1e-3)
    assert (encoder.preprocessing.size, encoder.preprocessing.assumed) == ((32, 32), False)
    taps = {tap.name: tap for tap in encoder.taps()}
    assert (taps["vit.layernorm"].kind, taps["vit.layernorm"].prefix_tokens) == ("token", 1)
    assert set(statuses(encoder).values()) == {"pass"}


def pickled_weights(model: Any, folder: Path) -> None:
    """Saves the weights of a folder as the library did before safetensors."""
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize(
    "kind", ["ResNet", "Siglip", "Dinov2WithRegisters", "DeiTWithTeacher"]
)  # the last answers by the mean of two heads
def test_other_classifiers(kind, form, tmp_path, pictures):
    kind, teacher, _ = kind.partition("WithTeacher")
    kinds: dict[str, dict[str, Any]] = {
        "DeiT": VISION,
        "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
        "Siglip": {"vision_config": VISION},
        "Dinov2WithRegisters": {**VISION, "num_register_tokens": 4},
    }
    config = getattr(hf, f"{kind}Config")(**kinds[kind], num_labels=5)
    model = getattr(hf, f"{kind}ForImageClassification{teacher}")(config).eval()
    processor = hf.ViTImageProcessor(size={"height": 32, "width": 32})
    saved(model, tmp_path, processor)
    if form == "bin":
        pickled_weights(model, tmp_path)
    encoder = load_encoder(f"transformers:local-dir:{tmp_path}")
    with torch.inference_mode():
        logits = encoder.head().logits(encoder.encode(tensors(encoder, pictures)))
        expected = model(**processor(pictures, return_tensors="pt")).logits
    assert torch.allclose(logits, expected, atol=1e-5)
    assert encoder.head().classes == tuple("01234")  # LABEL_0 is no name
    assert encoder.width == encoder.head().weight.shape[1]
    if kind == "Dinov2WithRegisters":
        taps = {tap.name: tap.prefix_tokens for tap in encoder.taps()}
        assert taps["dinov2_with_registers.layernorm"] == 5


def test_clip_gives_the_logits_of_its_library(clip: Path, pictures: list[Image.Image]) -> None:
    encoder = load_encoder(f"transformers:local-dir:{clip}")
    model, processor = hf.CLIPModel.from_pretrained(clip), hf.CLIPProcessor.from_pretrained(clip)
    head = encoder.head(
        [prompt.removeprefix("a photo of ") for prompt in PROMPTS], ["a photo of {}"]
    )
    with torch.inference_mode():
        inputs = processor(text=PROMPTS, images=pictures, return_tensors="pt", padding=True)
        expected = model(**inputs).logits_per_image
        logits = head.logit_scale * head.logits(encoder.encode(tensors(encoder, pictures)))
    assert torch.allclose(logits, expected, atol=1e-4)
    assert (encoder.representation, encoder.width, encoder.training) == (
        "projected",
        12,
        "zero-shot",
    )
    assert head.logit_scale == pytest.approx(np.exp(3.1), rel=1e-6)
    assert {PRE_PROJECTION, "encoder.layers.0"} <= {tap.name for tap in encoder.taps()}
    assert (encoder.text.context_length, statuses(encoder)["activation"]) == (77, "pass")
    checks = check_text(encoder, NAMES, ["a photo of a {}."])
    assert {check.name: check.status for check in checks} == dict.fromkeys(
        ["tokenizer", "text form", "prompt length", "prompt names", "short prompts"], "pass"
    )


@pytest.mark.parametrize(
    ("tokenizer", "vocabulary"), [(siglip_tokenizer, 60), (gemma_tokenizer, 256_000)]
)
def test_siglip_gives_the_logits_of_its_library(tokenizer, vocabulary, tmp_path, pictures):
    folder = siglip(tmp_path, tokenizer, vocabulary)
    encoder = load_encoder(f"transformers:local-dir:{folder}")
    model = hf.SiglipModel.from_pretrained(folder)
    images = hf.AutoImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt")
    texts = hf.AutoTokenizer.from_pretrained(folder)(
        PROMPTS, padding="max_length", max_length=64, return_tensors="pt"
    )
    head = encoder.head(["cat", "fire truck"], ["A photo, of a {}!"])
    with torch.inference_mode():
        expected = model(input_ids=texts.input_ids, **images).logits_per_image
        logits = head.logits(encoder.encode(tensors(encoder, pictures)))
    scaled = head.logit_scale * logits + head.logit_bias
    assert torch.allclose(scaled, expected, atol=1e-4)
    assert (head.logit_bias, encoder.text.padded) == (-7.0, True)
    checks = check_text(encoder, ["cat", "fire truck"], ["a photo of a {}."])
    assert [(c.name, c.status) for c in checks[:2]] == [
        ("tokenizer", "pass"),
        ("text form", "pass"),
    ]


def unlinked(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_key(name: str, key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, key: value}))

    return change


def pickled(folder: Path) -> None:
    unlinked("model.safetensors")(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")


def cut_short(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


CODE = {"AutoModelForImageClassification": "mine.Model", "AutoImageProcessor": "mine.Processor"}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (unlinked("preprocessor_config.json"), 3, "preprocessor_config.json"),
        (unlinked("config.json"), 3, "config.json"),
        (unlinked("model.safetensors"), 3, "model.safetensors"),
        (pickled, 3, "pytorch_model.bin"),
        (cut_short, 3, "cannot be loaded"),
        (with_key("config.json", "auto_map", CODE), 3, "auto_map"),
        (with_key("preprocessor_config.json", "auto_map", CODE), 3, "auto_map"),
        (with_key("config.json", "trust_remote_code", True), 3, "trust_remote_code"),
        (with_key("config.json", "attn_implementation", "some/kernel"), 3, "attn_implementation"),
        (with_key("config.json", "hidden_size", 20), 3, "cannot be loaded"),
        (with_key("config.json", "num_hidden_layers", 3), 3, "missing keys"),
        (with_key("config.json", "num_hidden_layers", 1), 3, "unexpected keys"),
        (with_key("config.json", "architectures", ["ViTModel"]), 2, "ViTModel"),
        (with_key("config.json", "architectures", 7), 2, "no named model"),
    ],
)  # fmt: skip
def test_bad_checkpoints_end_in_one_sentence_and_run_nothing(
    change, code, words, vit, tmp_path, monkeypatch, program
):
    folder = shutil.copytree(vit, tmp_path / "model")
    (folder / "mine.py").write_text("open('ran', 'w')\n")
    change(folder)
    monkeypatch.chdir(tmp_path)
    spec = f"transformers:local-dir:{folder}"
    with pytest.raises((UsageError, WeightsError), match=words) as caught:
        load_encoder(spec)
    assert caught.value.exit_code == code
    error = program(
        "--headless", "--model", spec, "--data", "miniature:val", "--sample", "8", code=code
    ).err
    assert words in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("ran"))
    assert not (tmp_path / "runs").exists()


def test_a_repository_takes_no_checkpoint() -> None:
    with pytest.raises(UsageError, match="checkpoint"):
        load_encoder("transformers:nobody/nothing", checkpoint="weights.safetensors")


def test_the_lines_of_the_page_give_the_accuracy_of_the_library(
    vit, clip, pictures, tmp_path, monkeypatch
):
    """The class folders have the names of the configuration, and outputs are not tensors."""
    for name, picture in zip(NAMES * 4, pictures * 4, strict=True):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        count = len(list((tmp_path / "photos" / name).iterdir()))
        picture.rotate(90 * count).save(tmp_path / "photos" / name / f"{count}.png")
    shutil.copytree(vit, tmp_path / "my-classifier")
    monkeypatch.chdir(tmp_path)
    (block,) = (b for b in blocks(ROOT / "docs/models.md") if "from transformers" in b.text)
    names: dict[str, Any] = {}
    exec(compile(block.text, block.place, "exec"), names)
    model, processor, report = (names[name] for name in ("model", "processor", "report"))
    with torch.inference_mode():
        files = [(path, path.parent.name) for path in (tmp_path / "photos").rglob("*.png")]
        opened = [Image.open(path) for path, _ in files]
        answers = model(**processor(opened, return_tensors="pt")).logits.argmax(1)
    right = sum(NAMES[a] == name for a, (_, name) in zip(answers, files, strict=True))
    assert report.accuracies[0].value == pytest.approx(right / 12)
    pooled = Encoder.from_module(hf.ViTModel(model.config), preprocess=processor)
    dual = Encoder.from_module(hf.CLIPModel.from_pretrained(clip), preprocess=processor)
    with pytest.raises(UsageError, match="last_hidden_state"):
        Encoder.from_module(model.vit, preprocess=processor)  # without a pooled representation
    assert (pooled.classifier, pooled.width, dual.classifier, dual.width) == (None, 16, None, 12)
