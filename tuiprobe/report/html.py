"""report.html: report.md with figures and pictures, in one file that loads nothing.

The text is that of report.md, parsed without raw HTML, links or images, so that a foreign string
can be nothing but text; figures are built as element trees. A content security policy forbids
scripts and requests besides.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from xml.etree.ElementTree import Element, tostring

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tuiprobe.plaintext import plain
from tuiprobe.probes.concepts.result import Concepts, DirectionConcepts
from tuiprobe.probes.outliers.result import ChannelImages
from tuiprobe.report.chart import Chart
from tuiprobe.report.charts import charts
from tuiprobe.report.elements import element, inside
from tuiprobe.report.markdown import markdown
from tuiprobe.report.svg import COLOURS, figure
from tuiprobe.report.text import number
from tuiprobe.results.images import TopImage
from tuiprobe.results.report import Report

Pictures = Mapping[tuple[str, int], bytes]
"""JPEG files by set and sample id."""

SHOWN_CHANNELS = 4
SHOWN_IMAGES = 8

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SECTIONS = {
    "shares": "Leading channels",
    "layers": "Layers",
    "importance": "Privileged directions",
    "pruning": "Privileged directions",
    "concepts": "Concepts",
    "robustness": "Accuracy",
}
_STYLE = """
:root { color-scheme: light dark; --page: #fdfdfc; --text: #1b2530; --soft: #5d6b78;
  --rule: #dde2e7; --head: #f1f3f5; --warn: #fff4df; --link: #1f6fb2; }
@media (prefers-color-scheme: dark) { :root { --page: #11151a; --text: #d8dee6; --soft: #8f9ba8;
  --rule: #2b333c; --head: #1a2028; --warn: #2e2714; --link: #5aa9e6; } }
body { background: var(--page); color: var(--text); margin: 0 auto; padding: 2rem 1.5rem 4rem;
  max-width: 72rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--rule);
  overflow-wrap: anywhere; }
code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere; }
blockquote { margin: 1rem 0; padding: .2rem 1rem; background: var(--warn);
  border-left: 4px solid #e0a030; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .28rem .8rem .28rem .4rem;
  border-bottom: 1px solid var(--rule); }
th { background: var(--head); }
figure { margin: 1.2rem 0; }
figure svg { width: 100%; max-width: 50rem; height: auto; display: block; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; }
.pictures div { width: 96px; font-size: .72rem; color: var(--soft); overflow-wrap: anywhere; }
.pictures img { width: 96px; height: 96px; object-fit: contain; background: var(--head);
  display: block; }
summary { cursor: pointer; color: var(--link); }
nav a { color: var(--link); margin-right: 1rem; }
@media print { details > * { display: block; } nav { display: none; } }
"""


def html(report: Report, pictures: Pictures | None = None) -> str:
    """The whole report as one HTML file.

    Args:
        report: What was found.
        pictures: Small JPEG files to show beside the leading channels; what is no JPEG is left out.
    """
    drawn = charts(report)
    sections = _sections(markdown(report))
    body = element("body")
    for title, content in sections:
        body.append(content)
        for chart_name, prefix in _SECTIONS.items():
            if title.startswith(prefix):
                _add_figures(content, [one for one in drawn if _kind(one) == chart_name])
        if title.startswith("Images at the ends"):
            _add_pictures(content, report, pictures or {})
        if title.startswith("Concepts on") and report.concepts is not None:
            _add_concept_pictures(content, report.concepts, pictures or {})
    _add_navigation(body, [title for title, _ in sections[1:]])
    return "<!DOCTYPE html>\n" + tostring(_page(report, body), encoding="unicode", method="html")


def _kind(chart: Chart) -> str:
    return chart.name.partition("_")[0]


def _page(report: Report, body: Element) -> Element:
    page = element("html", lang="en")
    head = inside(page, "head")
    inside(head, "meta", charset="utf-8")
    inside(head, "meta", http_equiv="Content-Security-Policy", content=_POLICY)
    inside(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    inside(head, "title", report.title)
    style = inside(head, "style")
    style.text = _STYLE + COLOURS
    page.append(body)
    return page


def _add_navigation(body: Element, titles: list[str]) -> None:
    navigation = element("nav")
    for i, title in enumerate(titles, start=1):
        inside(navigation, "a", title, href=f"#s{i}").tail = " "
    body.insert(1, navigation)


# From Markdown to elements.


def _sections(text: str) -> list[tuple[str, Element]]:
    """The sections under each heading of level 1 and 2, with their titles."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])
    found: list[tuple[str, Element]] = []
    stack: list[Element] = []
    tokens = parser.parse(text)
    for i, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag in ("h1", "h2"):
            section = element("section", id=f"s{len(found)}")
            found.append((_text(tokens[i + 1]), section))
            stack = [section]
        if stack:
            _place(stack, token)
    return found


def _text(token: Token) -> str:
    return "".join(child.content for child in token.children or ())


def _place(stack: list[Element], token: Token) -> None:
    """Puts one token into the innermost open element; unknown kinds become text."""
    if token.hidden:
        return
    if token.type == "inline":
        for child in token.children or ():
            _place(stack, child)
    elif token.nesting == 1:
        parent = stack[-1]
        if token.tag == "table":
            parent = inside(parent, "div", class_="table")
        stack.append(inside(parent, token.tag))
    elif token.nesting == -1:
        stack.pop()
    elif token.type == "code_inline":
        inside(stack[-1], "code", token.content)
    else:
        _append(stack[-1], "\n" if token.type in ("softbreak", "hardbreak") else token.content)


def _append(parent: Element, text: str) -> None:
    """Appends text after what ``parent`` holds already."""
    clean = text if text == "\n" else plain(text)
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + clean
    else:
        parent.text = (parent.text or "") + clean


# Figures and pictures.


def _add_figures(section: Element, drawn: list[Chart]) -> None:
    """The first of each basis in sight, the others folded away."""
    folded = [one for one in drawn if one.name.startswith("pruning_") and one.name[-2:] != "_0"]
    for one in drawn:
        if one not in folded:
            inside(section, "figure").append(figure(one))
    if folded:
        details = inside(section, "details")
        inside(details, "summary", f"{len(folded)} more pruning curves, one a data set")
        for one in folded:
            inside(details, "figure").append(figure(one))


def _add_concept_pictures(section: Element, found: Concepts, pictures: Pictures) -> None:
    """The images at both ends of the leading directions, with what these tell best."""
    for one in found.top[:SHOWN_CHANNELS]:
        told = ", ".join(concept.name for concept in one.concepts[:3])
        title = f"Direction {one.index} ({told})"
        _add_ends(section, title, found.data, one, pictures)


def _add_pictures(section: Element, report: Report, pictures: Pictures) -> None:
    one = next((one for one in report.outliers if one.final), None)
    if one is None or not pictures:
        return
    for channel in one.top_images[:SHOWN_CHANNELS]:
        _add_ends(section, f"Channel {channel.channel}", one.data, channel, pictures)


def _add_ends(
    section: Element,
    title: str,
    data: str,
    one: ChannelImages | DirectionConcepts,
    pictures: Pictures,
) -> None:
    for end, images in (("largest", one.largest), ("smallest", one.smallest)):
        shown = [i for i in images[:SHOWN_IMAGES] if _is_jpeg(pictures.get((data, i.sample_id)))]
        if shown:
            inside(section, "p", f"{title}, {end}:")
            row = inside(section, "div", class_="pictures")
            for image in shown:
                _add_picture(row, image, pictures[data, image.sample_id])


def _is_jpeg(content: bytes | None) -> bool:
    return content is not None and content.startswith(b"\xff\xd8\xff")


def _add_picture(row: Element, image: TopImage, content: bytes) -> None:
    box = inside(row, "div")
    name = image.path if image.path is not None else f"id {image.sample_id}"
    encoded = base64.b64encode(content).decode("ascii")
    inside(box, "img", src=f"data:image/jpeg;base64,{encoded}", alt=name)
    inside(box, "span", f"{number(image.value)} {name}")
