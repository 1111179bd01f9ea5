"""The page to label pictures: small, without anything of their files, inert, without names."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data

from tests.show.report.label_samples import CLASSES, MODELS, noise, painted
from tests.show.report.test_formats import Page
from tests.show.report.test_hostile_fields import EVIL, HOSTILES
from tuiprobe.choose.labelling.handed_out import batch_of
from tuiprobe.errors import UsageError
from tuiprobe.plaintext import plain
from tuiprobe.show.report.label_page import LARGEST, SIDE, label_page, small_jpeg, write_label_page

HOSTILE = (*HOSTILES, EVIL, "<!--<script>", "line\u2028separator", "caf\udce9", "__proto__")


def data_of(page: str) -> dict[str, Any]:
    [text] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    result: dict[str, Any] = json.loads(text)
    return result


def test_two_hundred_pictures_make_8_mb_at_most(tmp_path, monkeypatch) -> None:
    largest = [noise(n, (640, 480), 1.0) for n in range(3)] + [noise(3, (900, 300), 0.0)]
    labelling = painted(tmp_path, pictures=200)
    monkeypatch.setattr(labelling, "image", lambda place: largest[place % 4])
    message = write_label_page(labelling, tmp_path / "label.html", 200)
    size = (tmp_path / "label.html").stat().st_size
    assert 4_000_000 < size <= 8_000_000
    assert message.startswith(f"{tmp_path / 'label.html'}: 200 pictures, {size / 1000:,.0f} kB; ")
    assert not labelling.files.csv.exists()  # nothing is listed until answers come back


@pytest.mark.parametrize("fall", [0.0, 1.0])
@pytest.mark.parametrize("size", [(299, 224), (224, 448), (2000, 130), (3, 5)])
def test_a_picture_is_small_and_keeps_its_shape(size: tuple[int, int], fall: float) -> None:
    content = small_jpeg(noise(0, size, fall))
    assert len(content) <= LARGEST
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    assert (min(width, height), max(width, height)) <= (SIDE, 2 * SIDE)
    assert max(width, height) <= max(size)
    assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_a_photograph_keeps_its_quality(name: str) -> None:
    content = small_jpeg(Image.fromarray(getattr(data, name)()))
    with Image.open(io.BytesIO(content)) as image:
        assert min(image.size) == SIDE
        assert image.quantization[0][0] <= 5  # type: ignore[attr-defined]  # quality 85


def test_nothing_of_the_file_but_its_pixels_is_on_the_page() -> None:
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    exif.get_ifd(0x8825)[1] = "secret position"
    file = io.BytesIO()
    noise(0, (300, 200), 1.0).save(
        file, "JPEG", exif=exif, comment=b"secret comment", icc_profile=b"secret profile" * 20
    )
    assert file.getvalue().count(b"secret") >= 4
    with Image.open(file) as image:
        content = small_jpeg(image)
    assert b"secret" not in content
    with Image.open(io.BytesIO(content)) as image:
        assert {*image.info} <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_it_has_the_next_pictures_and_no_name_of_a_model(tmp_path: Path) -> None:
    labelling = painted(tmp_path)
    pictures = labelling.upcoming(5)
    page = label_page(labelling, pictures)
    assert not any(name in page for name in (*MODELS, "alpha", "beta", str(tmp_path)))
    content = data_of(page)
    batch = batch_of(picture.digest for picture in pictures)
    assert (content["batch"], tuple(content["classes"])) == (batch, CLASSES)
    rows = [(row["image"], row["sha256"]) for row in content["pictures"]]
    assert rows == [(picture.name, picture.digest) for picture in pictures]
    choices = [tuple(CLASSES[n] for n in row["choices"]) for row in content["pictures"]]
    assert choices == [picture.choices for picture in pictures]
    for row in content["pictures"]:
        with Image.open(io.BytesIO(base64.b64decode(row["jpeg"]))) as image:
            assert (image.format, image.size) == ("JPEG", (64, 48))


def test_it_loads_nothing_and_outside_text_stays_data(tmp_path: Path) -> None:
    labelling = painted(tmp_path, classes=HOSTILE, names=HOSTILE, pictures=len(HOSTILE))
    page = label_page(labelling, labelling.upcoming(len(HOSTILE)))
    content = data_of(page)
    assert content["classes"] == [plain(name) for name in labelling.matched.classes]
    assert {row["image"] for row in content["pictures"]} == set(map(plain, HOSTILE))
    harmless = label_page(painted(tmp_path, pictures=2), painted(tmp_path).upcoming(2))
    assert Page(page).tags[4:] == Page(harmless).tags[4:]  # all but the policy are the same
    styles, scripts = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in
                       ("style", "script"))  # fmt: skip
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (*styles, *scripts)
    ]
    assert (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    ) in dict(Page(page).tags[3][1]).values()
    assert len(hashes) == 2


def test_what_is_refused_leaves_no_page(tmp_path: Path) -> None:
    labelling = painted(tmp_path, pictures=2)
    file = tmp_path / "label.html"
    file.write_text("mine", "utf-8")
    with pytest.raises(UsageError, match=r"label\.html exists: name another file"):
        write_label_page(labelling, file, 2)
    assert file.read_text("utf-8") == "mine"
    for place in range(2):
        labelling.label(place, "cat")
    with pytest.raises(UsageError, match="every picture is labelled"):
        write_label_page(labelling, tmp_path / "other.html", 2)
    assert not (tmp_path / "other.html").exists()
    labelling.close()
