"""ImageNet, its shifts and ObjectNet as small trees in their real layouts on disk."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tuiprobe.catalog.class_names import imagenet_wnids

RED = (255, 0, 0)

OBJECTNET = {
    "alarm_clock": ("Alarm clock", "analog clock; digital clock"),
    "backpack": ("Backpack", "backpack, back pack, knapsack, packsack, rucksack, haversack"),
    "banana": ("Banana", "banana"),
}
"""Folder: ObjectNet's name, and the names of ImageNet's classes that are it."""

IMAGENET_LABELS = {"alarm_clock": (409, 530), "backpack": (414,), "banana": (954,)}
"""Known from ImageNet's own list, not from the code under test."""


def picture(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """Returns a smooth random picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size)


def jpeg(seed: int) -> bytes:
    """Returns a picture as JPEG."""
    file = io.BytesIO()
    picture(seed).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_images(root: Path, *names: str) -> Path:
    """Writes a small picture of a colour of its own under each name."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 90, 40)).save(root / name)
    return root


def tar_of(members: Mapping[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    """Returns a tar with these members, whose names may be any bytes of a file system."""
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=format, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Writes a tar with these members; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_of(members))
    return path


def write_folders(root: Path, folders: list[str], extension: str, seed: int = 0) -> None:
    """Writes one JPEG into each class folder."""
    pictures = [jpeg(seed + number) for number in range(8)]
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        (root / folder / f"{folder}_{number:04d}{extension}").write_bytes(pictures[number % 8])


def write_objectnet(root: Path, images: int = 4) -> None:
    """Writes `images/` with framed PNGs, and `mappings/`; one class is not ImageNet's."""
    names = {folder: name for folder, (name, _) in OBJECTNET.items()}
    names["air_freshener"] = "Air freshener"
    for number, folder in enumerate(sorted(names)):
        (root / "images" / folder).mkdir(parents=True)
        for image in range(images):
            framed = Image.new("RGB", (44, 36), RED)
            framed.paste(picture(100 * number + image), (2, 2))
            framed.save(root / "images" / folder / f"{image:08x}.png")
    mappings = root / "mappings"
    mappings.mkdir()
    write_json(mappings / "folder_to_objectnet_label.json", names)
    to_imagenet = dict(OBJECTNET.values())
    write_json(mappings / "objectnet_to_imagenet_1k.json", to_imagenet)
    # The file of names is in the order of the ILSVRC development kit, not in that of the labels.
    label_of = {
        part: IMAGENET_LABELS[folder][place]
        for folder, (_, joined) in OBJECTNET.items()
        for place, part in enumerate(joined.split("; "))
    }
    names_in_order = {label: name for name, label in label_of.items()}
    order = np.random.default_rng(0).permutation(1000).tolist()
    lines = [names_in_order.get(label, f"class {label}") for label in order]
    (mappings / "imagenet_to_label_2012_v2").write_text("".join(f"{x}\n" for x in lines))
    place = {str(label): line for line, label in enumerate(order)}
    write_json(mappings / "pytorch_to_imagenet_2012_id.json", place)


def write_json(path: Path, value: object) -> None:
    """Writes JSON."""
    path.write_text(json.dumps(value))


def write_trees(root: Path, subset: int = 200) -> None:
    """Writes all six sets under the names their archives unpack to."""
    wnids = list(imagenet_wnids())
    write_folders(root / "imagenet" / "val", wnids, ".JPEG")
    v2 = root / "imagenetv2-matched-frequency-format-val"
    write_folders(v2, [str(number) for number in range(1000)], ".jpeg", seed=10)
    write_folders(root / "imagenet-r", wnids[::5][:subset], ".jpg", seed=20)
    write_folders(root / "sketch", wnids, ".JPEG", seed=30)
    write_folders(root / "imagenet-a", wnids[3::5][:subset], ".jpg", seed=40)
    write_objectnet(root / "objectnet-1.0")
