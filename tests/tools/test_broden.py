"""The concept set of the miniature in Broden's layout: tables and maps agree with what is drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from tools.broden import write_broden
from tuiprobe.miniature import concepts, world

IMAGES = 40


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_broden_tables_and_maps_agree(tmp_path: Path) -> None:
    root = tmp_path / "broden"
    write_broden(root, [i * 4000 // IMAGES for i in range(IMAGES)])
    rows = table(root / "index.csv")
    assert len(rows) == IMAGES
    assert {row["split"] for row in rows} == {"train", "val"}
    names = {int(r["number"]): r for r in table(root / "label.csv")}
    assert [names[c.number]["name"] for c in concepts.CONCEPTS] == [
        c.name for c in concepts.CONCEPTS
    ]
    for row in rows[::7]:
        index = int(Path(row["image"]).stem)
        picture = Image.open(root / "images" / row["image"])
        assert (np.array(picture) == world.render("concepts", index)).all()
        assert (int(row["ih"]), int(row["sh"])) == (64, 32)
        scene = world.scene("concepts", index)
        for category, mask in concepts.masks(scene).items():
            pixels = np.array(Image.open(root / "images" / row[category])).astype(int)
            assert (pixels[..., 0] + 256 * pixels[..., 1] == mask).all()
        assert int(row["scene"]) == concepts.image_labels(scene)["scene"]
    seen = sum(int(r["frequency"]) for r in names.values() if r["category"].startswith("scene"))
    assert seen == IMAGES
