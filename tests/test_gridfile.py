from __future__ import annotations

from pathlib import Path

import pytest

from tuiprobe.catalog.presets import presets
from tuiprobe.cli.gridfile import SHIPPED, paper_models, read_grid
from tuiprobe.errors import UsageError


def written(folder: Path, text: str) -> Path:
    path = folder / "paper.toml"
    path.write_text(text)
    return path


def test_the_file_that_ships_is_the_papers_grid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_grid(None)
    assert found.data == "suite:auto"
    assert found.output == tmp_path / "runs" / "paper"
    assert found.options == {"sample": 5000}
    assert found.models == paper_models()
    kinds = [presets()[name].training for name in found.models]
    assert kinds.count("zero-shot") == 18
    assert kinds.count("captions") == 5
    # the commented lines of the example are understood as well
    text = SHIPPED.read_text().replace("# models", "models").replace("# device", "device")
    changed = read_grid(written(tmp_path, text.replace("# rn101_cc12m =", "rn50_openai =")))
    assert changed.models == ("rn50_openai", "vitb16_openai", "vitb16_openai_ft_in1k")
    assert changed.options["device"] == "cuda"
    assert changed.checkpoints == {"rn50_openai": str(tmp_path / "weights" / "rn101_cc12m.pt")}


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        suite = "robust.toml"
        output = "out"
        models = ["mini_clip", "mini_clip"]
        [options]
        layers = ["layer*"]
        classes = "names.txt"
        head = "head.safetensors"
        concepts = "broden:b"
        target = ["imagefolder:mine", "miniature:street"]
        """,
    )
    found = read_grid(path)
    assert found.data == f"suite:{tmp_path}/robust.toml"
    assert found.output == tmp_path / "out"
    assert found.models == ("mini_clip",)
    assert found.options == {
        "layers": ("layer*",),
        "classes": f"{tmp_path}/names.txt",
        "head": f"{tmp_path}/head.safetensors",
        "concepts": f"broden:{tmp_path}/b",
        "target": (f"imagefolder:{tmp_path}/mine", "miniature:street"),
    }
    assert read_grid(written(tmp_path, 'data = "imagefolder:val"')).data == (
        f"imagefolder:{tmp_path}/val"
    )
    assert read_grid(written(tmp_path, 'data = "webdataset:s3://b/x.tar"')).data == (
        "webdataset:s3://b/x.tar"
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("models = 3 4", "is not TOML"),
        ("model = ['x']", "model: no such key; there are suite"),
        ("models = []", "models: write a list"),
        ("models = 'rn50_openai'", "models: write a list"),
        ("models = [3]", "models: 3 is not a text"),
        ("models = ['py:os:getcwd']", "models: 'py:os:getcwd' runs code"),
        ("suite = 'auto'\ndata = 'miniature'", "data: leave it out"),
        ("output = 3", "output: 3 is not a text"),
        ("options = 3", "options: not a table"),
        ("[options]\nsampel = 3", r"options\.sampel: no such key"),
        ("[options]\nmodel = 'x'", r"options\.model: no such key"),
        ("[checkpoints]\nrn50 = 'x'", r"checkpoints\.rn50: no such key"),
        ("[checkpoints]\nrn101_cc12m = 3", r"checkpoints\.rn101_cc12m: 3 is not a text"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(UsageError, match=rf"paper\.toml:? {cause}"):
        read_grid(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the grid .*gone\.toml"):
        read_grid(tmp_path / "gone.toml")
