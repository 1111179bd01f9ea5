"""Run directories as an engine leaves them while it runs, written by hand."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView

CHANNELS = 64
LAYERS = ("layer1", "layer2", "layer3", "layer4", "embedding")
WAITING = ("sketch", "a")
"""Sets that wait; they have no images, so that the others make up the total."""
HOST = "node"
"""Host of all ranks, which is not that of the tests: they run while their status changes."""


class Watch:
    """A reader that looks at a run again and again, as the live screen does."""

    def __init__(self, run: Path, now: Callable[[], float] = time.monotonic) -> None:
        self.run, self.now = RunDir(run), now
        self.view: RunView | None = None

    def look(self) -> RunView:
        self.view = RunView.read(self.run, self.view, live=True, now=self.now)
        return self.view


def ends_of(ids: tuple[int, ...], first: float = -1997.0, last: float = -670.0) -> dict[str, Any]:
    """Returns both ends of a channel: by default the strongest are the most negative ones."""
    step = 7.0
    return {
        "smallest": [[image, first + step * i] for i, image in enumerate(ids)],
        "largest": [[image, last - step * i] for i, image in enumerate(reversed(ids))],
    }


def shares_of(loud: int, part: float, channels: int = CHANNELS) -> np.ndarray:
    """Returns shares where one channel carries `part` and the others fall off evenly."""
    rest = np.linspace(2.0, 0.1, channels)
    rest[loud] = 0.0
    shares = (1 - part) * rest / rest.sum()
    shares[loud] = part
    return shares


def write_live(
    run: Path,
    sequence: int,
    done: int = 640,
    total: int = 2000,
    rank: int = 0,
    loud: int = 13,
    kurtosis: float = 54.0,
    sets: tuple[str, ...] = ("val",),
    layers: tuple[str, ...] = LAYERS,
) -> None:
    """Writes the status of one rank, with both ends of two channels, and the plan if there is none.

    Args:
        run: The run directory.
        sequence: Number of the write.
        done: Images of the last set that are measured.
        total: Images of each set, in as many shards as there are ranks.
        rank: Number of the process.
        loud: Channel with a share of .6, above 6 sigma in every image.
        kurtosis: Of the last layer.
        sets: Sets that are measured; the last one is measured now.
        layers: Taps.
    """
    (run / "status").mkdir(parents=True, exist_ok=True)
    (run / "key").write_text("0" * 64 + "\n")
    write_plan(run, (*sets, *WAITING), total, rank + 1)
    arrays, taps = {}, {}
    for set_name in sets:
        for depth, tap in enumerate(layers):
            name = f"{set_name}/{tap}"
            value = 3.0 + (kurtosis - 3.0) * (depth + 1) / len(layers)
            arrays[f"{name}/shares"] = shares_of(loud, 0.6)
            arrays[f"{name}/leads"] = np.eye(CHANNELS)[loud] * 0.97
            if tap == "embedding":
                arrays[f"{name}/above"] = np.eye(CHANNELS)[loud]
            taps[name] = {
                "kurtosis": value,
                "low": value - 1.5,
                "high": value + 1.5,
                "n": done if set_name == sets[-1] else total,
                "scanned": 200 if tap == "embedding" else 0,
            }
    save_file(arrays, run / "status" / f"{rank}.safetensors")
    for set_name in sets[:-1]:
        publish(run, set_name, 0)
    ends = {str(loud): ends_of((5, 6, 7)), "0": ends_of((8,), 3.0, 41.5)}
    change(
        run, rank, sequence=sequence, phase="extract", set=sets[-1], shard=rank, images=done,
        rate=212.0, eta=(total - done) / 212.0, taps=taps, world=rank + 1,
        ends=dict.fromkeys(sets, ends), answers=answers_of(done, sets),
    )  # fmt: skip


def answers_of(done: int, sets: tuple[str, ...]) -> dict[str, Any]:
    """Returns answers: nine of ten are right, and of `street` 57 % are expected to be."""
    labelled = {name: {"images": done, "right": done * 9 // 10} for name in sets}
    street = {"images": 200, "value": 0.57, "low": 0.38, "high": 0.76, "estimated": 200}
    return {**labelled, "street": {**street, "calibrated": True}}


def write_plan(run: Path, sets: tuple[str, ...], images: int, shards: int) -> None:
    """Writes the plan as far as images are counted by it, unless the plan of a run is there."""
    path = run / "plan.json"
    if path.exists() and "key" in json.loads(path.read_text()):
        return
    plans = [
        {"name": name, "planned": images * n, "shards": n, "shard_images": images}
        for name, n in ((name, 0 if name in WAITING else shards) for name in sets)
    ]
    path.write_text(json.dumps({"sets": plans}))


def publish(run: Path, set_name: str, number: int) -> None:
    """Makes the file of a shard, which nobody reads."""
    (run / "shards").mkdir(exist_ok=True)
    (run / "shards" / f"{set_name}-{number:05d}.safetensors").touch()


def change(run: Path, rank: int = 0, **fields: object) -> None:
    """Changes fields of the status of a rank, and writes it."""
    path = run / "status" / f"{rank}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"host": HOST, "sequence": 1, **status_of(run, rank), **fields}))


def status_of(run: Path, rank: int = 0) -> dict[str, Any]:
    """Returns the status of a rank; nothing if it has none, or a damaged one."""
    try:
        status = json.loads((run / "status" / f"{rank}.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}


def write_pictures(run: Path, set_name: str = "val", ids: tuple[int, ...] = (5, 6, 7, 8)) -> None:
    """Writes small pictures: a gradient each, in other colours."""
    folder = run / "thumbs" / set_name
    folder.mkdir(parents=True, exist_ok=True)
    for number in ids:
        ramp = np.linspace(0, 255, 96).astype(np.uint8)
        pixels = np.zeros((96, 96, 3), np.uint8)
        pixels[..., number % 3] = ramp[None, :]
        pixels[..., (number + 1) % 3] = ramp[:, None]
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


def say(run: Path, kind: str, message: str, rank: int = 0, **fields: object) -> None:
    """Adds a message to the status of a rank, and changes fields of it."""
    before = status_of(run, rank).get("messages", [])
    change(run, rank, messages=[*before, {"kind": kind, "message": message}], **fields)


def live_run(run: Path) -> Path:
    """Writes a run that is being measured."""
    say(run, "warning", "3 of 2000 images could not be read")
    say(run, "stage", "measuring 2000 images", phase="extract")
    write_live(run, sequence=1)
    write_pictures(run)
    (run / "log.txt").write_text("loading mini_clip\nmeasuring 2000 images\n")
    return run
