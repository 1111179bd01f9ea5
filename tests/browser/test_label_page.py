"""The page to label pictures, in a real browser: by keys and by touch, kept, and read back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import PROGRAM, Browser, Tab
from tests.browser.test_report_page import AUDIT, AXE, DESK, OVERFLOW, PHONE, browser
from tests.show.report.label_samples import painted
from tests.show.report.test_label_page import HOSTILE
from tuiprobe.choose.labelling.handed_out import batch_of, import_answers
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE, UNSURE
from tuiprobe.choose.labelling.session import Labelling
from tuiprobe.choose.labelling.survey import NOT_SURE
from tuiprobe.plaintext import plain
from tuiprobe.show.report.label_page import write_label_page

__all__ = ["browser"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium: `apt-get install chromium`"),
]

REFUSED = (
    "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }})",
    "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
)
CSV = "document.querySelector('#text').value"
COUNT = "document.querySelector('#count').textContent"
CHOICES = "[...document.querySelectorAll('#choices span')].map(one => one.textContent)"
BAR = "document.querySelector('#unkept').offsetHeight > 0"
CLOSES = "dispatchEvent(new Event('beforeunload', {cancelable: true}))"


def written(folder: Path, count: int = 12, **how: Any) -> Path:
    file = folder / f"label{len(list(folder.glob('label*.html')))}.html"
    write_label_page(painted(folder, **how), file, count)
    return file


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Any]:
    """Opens pages in a browser that keeps nothing of earlier tests."""
    opened: list[Tab] = []

    def show(file: Path, **how: Any) -> Tab:
        for tab in opened:
            tab.close()
        opened[:] = [Tab(browser, file, **how)]
        return opened[0]

    yield show
    for tab in opened:
        tab.value("try { localStorage.clear() } catch { }")
        tab.close()


def answered(tab: Tab) -> list[str]:
    """Returns the classes of the table so far."""
    return [label for line in tab.value(CSV).splitlines()[1:] if (label := line.split(",")[2])]


def read_back(folder: Path, text: str, **how: Any) -> Labelling:
    """Returns a new session that has taken the answers of a table."""
    file = folder / "answers.csv"
    file.write_text(text, "utf-8")
    labelling = painted(folder, **how)
    assert import_answers(labelling, file).new == len(labelling.counted)
    labelling.close()
    return labelling


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_keys_lead_to_a_table_that_is_read_back(tabs, tmp_path: Path, size) -> None:
    tab = tabs(written(tmp_path), size=size)
    pictures = painted(tmp_path).upcoming(12)
    assert (tab.value(COUNT), tab.value(CHOICES)) == ("Picture 1 of 12", [*pictures[0].choices])
    expected = [pictures[0].choices[0], pictures[1].choices[1], UNSURE, NONE_OF_THESE, "star"]
    tab.press("1", held=True)  # a key that is held answers once
    tab.press("2")
    tab.press("9")  # no such choice
    tab.press("S")
    tab.press("n")
    tab.press("/")
    tab.press("1")  # is part of a search, no answer
    tab.write("ST")
    assert tab.value("document.activeElement.value") == "ST"
    tab.press("Enter")
    assert answered(tab) == expected
    tab.press("/")
    tab.press("Escape")
    tab.press("u")
    assert answered(tab) == expected[:4]
    tab.press("/")  # by arrows: the third class
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        tab.press(key)
    expected[4:] = ["cat", *(picture.choices[0] for picture in pictures[5:])]
    assert tab.value(COUNT) == "Picture 6 of 12"
    assert tab.value("document.activeElement.id") == "count"
    assert tab.value("document.querySelector('#bar').value") == 5
    for _ in range(7):
        tab.press("1")
    assert tab.value(COUNT) == "12 of 12 pictures are labelled"
    assert answered(tab) == expected
    tab.press("n")  # nothing is left
    labelling = read_back(tmp_path, tab.value(CSV))
    assert [row.line.label for row in labelling.counted] == expected
    assert tab.complaints() == []


def test_runs_go_out_as_a_page_and_come_back_as_a_download(
    tabs, browser: Browser, label_runs: list[Path], tmp_path: Path, program
) -> None:
    command = ["label", *map(str, label_runs), "--target", "photos"]
    page, saved = tmp_path / "label.html", tmp_path / "saved"
    message = program(*command, "--page", str(page), "--count", "6").err
    assert "label.html: 6 pictures, " in message
    assert " kB; label them in a browser" in message
    tab = tabs(page)
    assert "mini_" not in page.read_text("utf-8")
    assert "Measured 20" in tab.text()
    for key in "112s":
        tab.press(key)
    browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
    tab.value("document.querySelector('#download').focus()")
    tab.press("Enter")
    end = time.monotonic() + 60
    while not (files := list(saved.glob("*.csv"))) and time.monotonic() < end:
        time.sleep(0.05)
    assert files[0].read_text("utf-8") == tab.value(CSV)
    assert f"--answers {files[0].name}" in tab.value("document.querySelector('pre').textContent")
    out, err = program(*command, "--answers", str(files[0]), "--json")
    state = json.loads(out)
    assert err == "answers: 4 new, 2 not reached\n"
    assert (state["labelled"], state["unsure"]) == (4, 1)
    printed = program(*command[:2], *command[3:], "--answers", str(files[0])).err
    assert printed == "answers: 4 known already, 2 not reached\n"


def test_fingers_are_enough_and_a_double_tap_answers_once(tabs, tmp_path: Path) -> None:
    tab = tabs(written(tmp_path), size=PHONE)
    tab.click("#choices button", times=2)
    assert len(answered(tab)) == 1
    tab.click("#unsure", times=2)
    tab.click("#none")
    tab.click("#other")
    tab.click("#matches li:nth-child(2)")
    assert answered(tab)[1:] == [UNSURE, NONE_OF_THESE, "balloon"]
    tab.click("#undo", times=2)
    tab.click("#other")
    tab.click("#close")
    assert answered(tab)[1:] == [UNSURE, NONE_OF_THESE]
    sizes = "[...document.querySelectorAll('#stage button')].map(one => one.offsetHeight)"
    assert min(tab.value(sizes)) >= 44
    bottom = "document.querySelector('#undo').getBoundingClientRect().bottom"
    assert tab.value(bottom) <= PHONE[1]  # all on the first screen


def test_answers_are_kept_for_their_pictures_alone(tabs, tmp_path: Path) -> None:
    first, other = written(tmp_path, 5), written(tmp_path, seed=1)
    tab = tabs(first)
    for key in "1s1":
        tab.press(key)
    text = tab.value(CSV)
    tab = tabs(first)  # closed and opened again
    assert (tab.value(CSV), tab.value(COUNT)) == (text, "Picture 4 of 5")
    assert not tab.value(BAR)
    tab = tabs(other)
    assert (answered(tab), tab.value(COUNT)) == ([], "Picture 1 of 12")
    tab.press("n")
    tab = tabs(first)
    tab.press("u")
    tab = tabs(other)
    assert answered(tab) == [NONE_OF_THESE]
    tab = tabs(first)
    assert answered(tab) == [line.split(",")[2] for line in text.splitlines()[1:3]]
    assert tab.value(CLOSES)


def test_a_skipped_picture_has_an_empty_class_and_is_recorded_as_listed(tabs, tmp_path):
    tab = tabs(written(tmp_path, 5))
    pictures = painted(tmp_path).upcoming(5)
    for key in "1kk1u1":
        tab.press(key)
    assert tab.value(COUNT) == "Picture 5 of 5"
    assert tab.value("document.querySelector('#download').textContent") == "Save 2 labels"
    labels = [pictures[0].choices[0], "", "", pictures[3].choices[0], ""]
    assert [line.split(",")[2] for line in tab.value(CSV).splitlines()[1:]] == labels
    labelling = painted(tmp_path)
    file = tmp_path / "answers.csv"
    file.write_text(tab.value(CSV), "utf-8")
    answers = import_answers(labelling, file)
    assert (answers.new, answers.skipped, answers.blank) == (2, 2, 1)
    assert list(labelling.survey.skipped) == [picture.index for picture in pictures[1:3]]
    labelling.close()
    words = "document.querySelector('#skip').textContent"
    tab = tabs(written(tmp_path, 5))  # the page after this: the skipped ones come first
    assert tab.value(words) == "kskip again: unsure"
    for key in "k11":
        tab.press(key)
    assert tab.value(words) == "kskip"
    file.write_text(tab.value(CSV), "utf-8")
    labelling = painted(tmp_path)
    answers = import_answers(labelling, file)
    assert (answers.new, answers.unsure, answers.blank) == (2, 1, 2)
    assert labelling.survey.labels[pictures[1].index] == NOT_SURE
    labelling.close()


@pytest.mark.parametrize("stored", ["{", "7", '[["x"]]', '[["SHA", "<b>"]]', "null"])
def test_what_another_page_stored_is_no_answer(tabs, tmp_path: Path, stored: str) -> None:
    file, labelling = written(tmp_path), painted(tmp_path)
    stored = stored.replace("SHA", labelling.upcoming(1)[0].digest)
    batch = batch_of(picture.digest for picture in labelling.upcoming(12))
    key, value = json.dumps(f"tuiprobe label {batch}"), json.dumps(stored)
    tab = tabs(file, first=f"localStorage.getItem({key}) || localStorage.setItem({key}, {value})")
    assert answered(tab) == []
    tab.press("s")
    assert answered(tab) == [UNSURE]
    assert tab.complaints() == []


@pytest.mark.parametrize("refusal", REFUSED, ids=["denied", "full"])
def test_a_bar_says_that_nothing_is_kept(tabs, tmp_path: Path, refusal: str) -> None:
    tab = tabs(written(tmp_path), first=refusal, size=PHONE)
    assert tab.value(BAR)
    assert "Not kept: save before you close." in tab.text()
    assert tab.value(CLOSES)  # nothing to lose yet
    tab.press("1")
    tab.press("s")
    assert not tab.value(CLOSES)  # the browser asks first
    assert len(read_back(tmp_path, tab.value(CSV)).counted) == 2
    assert tab.value(OVERFLOW) == []
    tab.value("document.querySelector('#download').click()")
    assert tab.value(CLOSES)
    assert tab.complaints() == []


def test_hostile_names_stay_text_on_the_way_out_and_back(tabs, tmp_path: Path) -> None:
    how: Any = {"classes": HOSTILE, "names": HOSTILE, "pictures": len(HOSTILE)}
    file = written(tmp_path, len(HOSTILE), **how)
    pictures = painted(tmp_path, **how).upcoming(len(HOSTILE))
    tab = tabs(file, size=PHONE)
    for picture in pictures:
        assert tab.value(CHOICES) == list(map(plain, picture.choices))
        assert tab.value("document.querySelector('#name').textContent") == plain(picture.name)
        assert tab.value(OVERFLOW) == []
        tab.press("/")
        assert tab.value(OVERFLOW) == []
        tab.press("Escape")
        tab.press("1")
    rows = tab.value(CSV)
    assert [line for line in rows.splitlines() if line.startswith(("=", "+", "-", "@"))] == []
    labelling = read_back(tmp_path, rows, **how)
    labels = [row.line.label for row in labelling.counted]
    assert labels == [plain(picture.choices[0]) for picture in pictures]
    assert tab.value("window.evil") is None
    assert tab.complaints() == []
    asked = [one for one in tab.requested() if not one.startswith("data:image/jpeg;")]
    assert asked == [file.as_uri()]
    assert tab.value("[document.scripts.length, document.images.length]") == [2, 1]


def test_without_its_script_it_says_so_and_offers_nothing(tabs, tmp_path: Path) -> None:
    tab = tabs(written(tmp_path), script=False)
    assert "This page needs JavaScript" in tab.text()
    assert "Which class" not in tab.text()


@pytest.mark.skipif(
    not AXE.is_file(), reason="no axe-core: `npm install --prefix build/axe axe-core`"
)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation_at_any_step(tabs, tmp_path: Path, dark: bool) -> None:
    file = written(tmp_path, 3)
    for size in (DESK, PHONE):
        tab = tabs(file, size=size, dark=dark, first=REFUSED[1])  # with the bar
        tab.value(AXE.read_text("utf-8") + "; 0")
        for key in ("1", "/", "Escape", "s", "n"):
            tab.press(key)
            assert tab.value(AUDIT) == []
            assert tab.value(OVERFLOW) == []
            assert tab.value("document.documentElement.scrollWidth") <= size[0]
        tab.value("document.querySelector('details').open = true")
        assert tab.value(AUDIT) == []
