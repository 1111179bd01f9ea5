"""HTML and SVG: inert, self-contained, and saying what report.md says."""

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.show.report.samples import charts, outliers, report
from tests.show.report.samples_head import head_report
from tests.show.report.test_reports import layered
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results.card import sets_axis
from tuiprobe.show.report.html import html
from tuiprobe.show.report.pictures import LARGEST, pictures
from tuiprobe.show.report.svg import svg

GOLDEN = Path(__file__).parent / "golden"
JPEG = b"\xff\xd8\xff\xe0picture"


class Page(HTMLParser):
    """Elements and text of a page, as a browser's parser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_every_figure_is_in_the_page_and_only_jpegs_are_embedded():
    result = head_report()
    page = Page(html(result))
    drawn = [a["id"] for tag, a in page.tags if tag == "figure"]
    assert len(drawn) == len(set(drawn)) > len(charts(result))  # strips of images too
    every = [*charts(result), sets_axis(result)]
    assert [a.get("class") for tag, a in page.tags if tag == "svg"].count("chart") == len(every)
    assert {chart.title for chart in every} <= set(page.words)
    text = html(report(), {("val", 3): b"<svg onload=alert(1)>", ("val", 9): JPEG})
    assert text.count("data:image/jpeg;base64,") == 1


@pytest.mark.parametrize("name", [chart.id for chart in charts(layered())])
def test_svg_is_as_agreed(name):
    path = GOLDEN / f"{name}.svg"
    result = svg(next(chart for chart in charts(layered()) if chart.id == name))
    if os.environ.get("TUIPROBE_RENEW"):
        path.write_text(result, encoding="utf-8")
    assert result == path.read_text(encoding="utf-8")


def test_pictures_are_small_regular_files_within_the_run(tmp_path):
    run = RunDir(tmp_path / "run")
    folder = tmp_path / "run" / "thumbs" / "val"
    folder.mkdir(parents=True)
    (folder / "3.jpg").write_bytes(JPEG)
    (folder / "9.jpg").symlink_to(folder / "3.jpg")
    assert pictures(report(), run) == {("val", 3): JPEG}
    (folder / "3.jpg").write_bytes(JPEG + b"x" * LARGEST)
    assert pictures(report(), run) == {}
    (tmp_path / "3.jpg").write_bytes(JPEG)
    away = report(outliers=(outliers(data="../.."),))
    assert pictures(away, run) == {}
