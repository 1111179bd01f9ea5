"""report.html in a real browser: quiet, closed, usable by mouse, keyboard and screen reader."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from tests.browser.chromium import PROGRAM, Browser, Tab
from tests.show.report.samples import NO_RUN, model, report
from tests.show.report.samples_head import calibration, head_results, targets
from tests.show.report.strangers import stranger
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.differences import compare_runs
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.results import Report
from tuiprobe.show.report.compare_page import compare_page
from tuiprobe.show.report.html import html

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium: `apt-get install chromium`"),
]

AXE = Path(__file__).parents[2] / "build/axe/node_modules/axe-core/axe.min.js"
PHONE, DESK = (390, 844), (1280, 800)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(Path(profile))
        yield found
        found.close()


def sample(**changes: Any) -> Report:
    results = {"targets": targets(), "calibration": calibration()}
    found = report(**head_results() | results | changes)
    return found.model_copy(update={"parts": (*found.parts, stranger())})


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (96, 96), (40, 120, 60)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a report, a comparison, and a report over several runs."""
    made = tmp_path_factory.mktemp("pages")
    found = sample()
    shown = {("val", 3): picture(), ("val", 9): picture(), ("val", 7): picture()}
    (made / "report.html").write_text(html(found, shown, linked=True), "utf-8")
    other = found.model_copy(update={"key": "ef" * 32})
    several = [Run(each, {}, NO_RUN) for each in (found, other, sample(model=model(name="third")))]
    for name, runs, everything in (
        ("compare.html", several[:2], True),
        ("several.html", several, False),
    ):
        decision = decide(runs)
        first, *rest = (row.place for row in decision.models)
        pairs = [compare_runs(runs, place, first, None) for place in rest]
        (made / name).write_text(compare_page(runs, decision, pairs, everything), "utf-8")
    return made


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Tab]:
    tab = Tab(browser, folder / "report.html")
    yield tab
    tab.close()


def shown(browser: Browser, file: Path, **how: Any) -> Iterator[Tab]:
    tab = Tab(browser, file, **how)
    try:
        yield tab
    finally:
        tab.close()


BROKEN = """[...document.querySelectorAll(".pictures div")].map(box => {
  const words = document.createRange();
  words.selectNodeContents(box.lastChild);
  const lines = new Set([...words.getClientRects()].map(r => r.top));
  return [box.lastChild.textContent.trim(), lines.size];
})"""


def test_it_is_quiet_closed_and_answers_on_its_first_screen(page: Tab, folder: Path) -> None:
    own = (folder / "report.html").as_uri()
    assert [one for one in page.requested() if not one.startswith("data:image/jpeg;")] == [own]
    assert page.complaints() == []
    bottom = page.value("document.querySelector('.card figure svg').getBoundingClientRect().bottom")
    assert 0 < bottom <= DESK[1]
    assert page.value("document.querySelector('.card li').getBoundingClientRect().bottom") < bottom
    ends = page.value(BROKEN)  # the end of a file name is never broken
    assert "=1|2.jpg" in [name for name, _ in ends]
    assert {lines for _, lines in ends} == {1}


SORTED = """(() => {
  const table = [...document.querySelectorAll("table.data")].find(
    one => one.tBodies[0].querySelectorAll("[data-v]").length > 12);
  const cell = table.tBodies[0].querySelector("[data-v]");
  const button = table.tHead.rows[0].cells[cell.cellIndex].querySelector("button");
  const numbers = () => [...table.tBodies[0].rows].map(
    row => row.cells[cell.cellIndex].dataset.v).filter(one => one !== undefined).map(Number);
  const before = numbers();
  button.click();
  const up = numbers();
  const said = button.parentElement.getAttribute("aria-sort");
  button.click();
  return [before, up, numbers(), said, button.parentElement.getAttribute("aria-sort")];
})()"""
FILTERED = """(() => {
  const label = document.querySelector(".filter");
  const rows = [...label.nextElementSibling.querySelectorAll("tbody tr")];
  const word = rows[rows.length - 1].cells[0].textContent.slice(0, 6);
  const input = label.querySelector("input");
  input.value = word;
  input.dispatchEvent(new Event("input"));
  const kept = rows.filter(row => !row.hidden);
  const said = label.querySelector("output").textContent;
  input.value = "";
  input.dispatchEvent(new Event("input"));
  const right = kept.every(row => row.textContent.toLowerCase().includes(word.toLowerCase()));
  return [rows.length, kept.length, right, said, rows.filter(row => row.hidden).length];
})()"""


def test_tables_figures_terms_and_links_are_used_by_mouse_and_keys(page: Tab) -> None:
    before, up, down, first, second = page.value(SORTED)
    assert up == sorted(before)
    assert down == sorted(before, reverse=True)
    assert (first, second) == ("ascending", "descending")

    rows, kept, right, said, hidden = page.value(FILTERED)
    assert 0 < kept <= rows
    assert (right, said, hidden) == (True, f"{kept} of {rows} rows", 0)

    page.value("document.querySelector('.point[tabindex=\"0\"]').focus()")
    told = "document.querySelector('.reading').textContent"
    first = page.value(told)
    page.press("ArrowRight")  # names the models of a figure
    second = page.value(told)
    assert first != second
    assert " %, " in second
    page.press("ArrowLeft")
    assert page.value(told) == first
    assert page.value("document.querySelectorAll('.point[tabindex=\"0\"]').length") == page.value(
        "document.querySelectorAll('figure:has(.point)').length"
    )

    page.press("Tab")  # a key, so that focus is visible
    page.value("document.querySelector('.term').focus()")
    told = "getComputedStyle(document.activeElement, '::after').content"
    assert page.value("document.activeElement.dataset.tip")[:12] in page.value(told)
    page.press("Escape")
    assert page.value(told) == "none"

    page.value("document.querySelector('details figure, details h3').id ||= 'inner'")
    page.value("location.hash = document.querySelector('details figure, details h3').id; 0")
    assert page.value(  # a link into a folded part opens it
        "new Promise(done => requestAnimationFrame(function look() {"
        " document.querySelector('details figure, details h3').closest('details').open"
        " ? done(true) : requestAnimationFrame(look) }))"
    )

    assert page.printed().startswith(b"%PDF")
    page.media("print")  # without what only a screen needs
    hidden = "[...document.querySelectorAll('nav, .skip, .filter')].map(x => x.offsetHeight)"
    assert set(page.value(hidden)) == {0}


OVERFLOW = """[...document.querySelectorAll("body *")].filter(one =>
    !one.closest(".table, .skip, svg") && one.getBoundingClientRect().right > innerWidth + 1
  ).map(one => one.outerHTML.slice(0, 120))"""
UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true; })"


@pytest.mark.parametrize("name", ["report", "compare", "several"])
def test_nothing_is_wider_than_the_screen_in_light_and_dark(browser, folder, name):
    for size, dark in ((DESK, False), (PHONE, True)):
        for tab in shown(browser, folder / f"{name}.html", size=size, dark=dark):
            seen = ImageStat.Stat(Image.open(io.BytesIO(tab.picture())).convert("L"))
            assert seen.stddev[0] > 8  # something is drawn
            assert seen.mean[0] < 60 if dark else seen.mean[0] > 200
            tab.value(UNFOLD)
            assert tab.value(OVERFLOW) == []
            assert tab.value("document.documentElement.scrollWidth") <= size[0]


EMPTY = """[...document.querySelectorAll("section:has(h2)")].filter(one => one.offsetHeight &&
    one.innerText.trim() === one.querySelector("h2").innerText.trim()).map(one => one.innerText)"""
CUT = """[...document.querySelectorAll(".table")].filter(one => one.offsetHeight &&
    one.scrollWidth > one.clientWidth + 1).map(one => one.innerText.slice(0, 60))"""


@pytest.mark.parametrize("name", ["report", "compare", "several"])
def test_paper_has_no_heading_alone_and_no_table_that_is_cut(browser, folder, name):
    for tab in shown(browser, folder / f"{name}.html", size=(760, 1000)):
        tab.media("print")
        assert tab.value(EMPTY) == []
        assert tab.value(CUT) == []


def test_everything_is_read_without_the_script(browser: Browser, folder: Path) -> None:
    for tab in shown(browser, folder / "report.html", script=False):
        tab.value(UNFOLD)  # a browser does so without a script
        said = tab.text()
        for words in ("Your images", "Highest channels on val", "How to reproduce"):
            assert words in said
        assert "arrow keys" not in said  # offers nothing that does not work


def test_a_picture_is_enlarged_on_a_click(browser: Browser, folder: Path) -> None:
    for tab in shown(browser, folder / "report.html"):
        tab.value(UNFOLD)
        tab.value("document.querySelector('.pictures img').click()")
        assert tab.value("document.querySelector('dialog.large[open] img').naturalWidth") > 0
        tab.value("document.querySelector('dialog.large').click()")
        assert tab.value("document.querySelectorAll('dialog[open]').length") == 0


AUDIT = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(
  one => one.id + ": " + one.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(" | ")))"""


@pytest.mark.skipif(
    not AXE.is_file(), reason="no axe-core: `npm install --prefix build/axe axe-core`"
)
@pytest.mark.parametrize("name", ["report", "compare", "several"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(browser: Browser, folder: Path, name: str, dark: bool) -> None:
    for size in (DESK, PHONE):
        for tab in shown(browser, folder / f"{name}.html", size=size, dark=dark):
            tab.value(UNFOLD)
            tab.value(AXE.read_text("utf-8") + "; 0")
            assert tab.value(AUDIT) == []


def test_hostile_names_in_every_place_stay_text(browser: Browser, tmp_path: Path) -> None:
    from tests.show.report.test_hostile_fields import EVIL, HOSTILES, in_report

    file = tmp_path / "report.html"
    file.write_text(html(in_report(" ".join((EVIL, *HOSTILES))), {("val", 3): picture()}), "utf-8")
    assert file.stat().st_size < 3_000_000
    for tab in shown(browser, file, size=PHONE):
        tab.value(UNFOLD)
        assert tab.value("window.evil") is None
        assert tab.complaints() == []
        asked = [one for one in tab.requested() if not one.startswith("data:image/jpeg;")]
        assert asked == [file.as_uri()]
        foreign = "svg[onload], img:not([src^='data:image/jpeg']), [onerror], iframe, body style"
        assert tab.value(f'document.querySelectorAll("{foreign}").length') == 0
        assert tab.value("document.scripts.length") == 1
        assert tab.value(OVERFLOW) == []
