"""The page of a report: the card with its pictures first, the evidence folded, nothing loaded."""

import base64
import hashlib
import re
from html import unescape

import pytest

from tests.show.report.samples import outliers, report
from tests.show.report.samples_head import head_results, targets
from tests.show.report.test_formats import JPEG, Page
from tuiprobe.results import Report, SetSummary
from tuiprobe.results.card import card, sets_axis, sets_line
from tuiprobe.results.section import Bullets, Chart, Column, Prose, Section, Series, Table
from tuiprobe.show.report.html import TEMPLATES, html, sections_html

SAFE = re.compile(r"\w+ *\| *safe")
LINE = Series(name="line", x=(0.0, 1.0), y=(0.0, 1.0))


@pytest.fixture(scope="module")
def full() -> Report:
    return report(**head_results() | {"targets": targets()})


@pytest.fixture(scope="module")
def page(full: Report) -> str:
    return html(full, {("val", 3): JPEG, ("val", 9): JPEG}, linked=True)


def attributes(page: str, tag: str) -> list[dict[str, str | None]]:
    return [result for name, result in Page(page).tags if name == tag]


def test_each_block_of_the_card_has_the_picture_of_its_answer(full: Report) -> None:
    drawn = {item.block: [picture.id for picture in item.pictures] for item in card(full)}
    assert drawn.get("your images", []) == []  # the axis of all sets stands there
    assert drawn["shifts"] == ["robustness_0"]
    assert drawn["inside"][0] == "heights"
    assert drawn["inside"][1].startswith("channel_0_")
    assert "deploy" not in drawn  # no built-in probe answers there


def test_the_axis_has_every_set_that_an_accuracy_is_known_of(full: Report) -> None:
    axis = sets_axis(full)
    figures = [item for part in full.parts for item in part.figures]
    [target] = [item for item in figures if item.id == "target"]
    measured = [item for item in figures if item.id == "top1"]
    assert axis.ticks[0] == target.data
    assert set(axis.ticks) == {target.data, *(item.data for item in measured)}
    estimated, known = axis.series
    assert estimated.y == (target.figure.value,)
    assert (estimated.low, estimated.high) == ((target.figure.low,), (target.figure.high,))
    for place, value in zip(known.x, known.y, strict=True):
        [figure] = [item.figure for item in measured if item.data == axis.ticks[int(place)]]
        assert value == figure.value
    only_one = full.model_copy(update={"parts": (full.part_of("targets"),)})
    assert sets_axis(only_one) is None


def test_each_set_with_an_accuracy_is_explained_in_one_line(full: Report) -> None:
    def held(*sources: str) -> dict[str, str]:
        data = [
            SetSummary(name=name, source=source, images=1, measured=1)
            for name, source in zip(names, sources, strict=True)
        ]
        line = sets_line(full.model_copy(update={"data": tuple(data)}))
        return {str(name.code): str(text) for name, text in zip(line[::2], line[1::2], strict=True)}

    axis = sets_axis(full)
    names = axis.ticks
    folders = held(*(f"imagefolder:of-{name}" for name in names))
    assert list(folders) == list(names)
    assert all(f"imagefolder:of-{name}" in text for name, text in folders.items())
    rendered = held("miniature:street", "miniature:val", "miniature:a")
    assert not any("miniature:" in text for text in rendered.values())
    assert sets_line(full.model_copy(update={"data": full.data[:1]})) == ()


def test_what_was_measured_is_open_where_no_accuracy_is_known(page: str) -> None:
    def opened(page: str) -> list[bool]:
        folds = attributes(page.partition("<h2>Evidence</h2>")[2], "details")
        return ["open" in fold for fold in folds]

    without = html(report())
    assert report().accuracies == ()
    assert any(opened(without))
    assert not any(opened(page))
    assert ' class="lead' in page
    assert ' class="lead' not in without


def test_evidence_repeats_no_sentence_of_the_card_but_as_a_finding() -> None:
    sentence = "This line stands on the card, and as the finding of its part."
    section = Section(
        title="Rows",
        headline=(sentence,),
        content=(Bullets(items=((sentence,), ("Something else.",))), Bullets(items=((sentence,),))),
    )
    page = html(with_section(section))
    card, _, evidence = page.partition("<h2>Evidence</h2>")
    assert card.count(sentence) == evidence.count(sentence) == 1
    assert f"<summary><h3>Rows</h3><span>{sentence}</span></summary>" in evidence
    assert "Something else." in page


def test_the_answer_and_its_pictures_come_before_the_evidence(page: str) -> None:
    ids = [result.get("id") for name, result in Page(page).tags if result.get("id")]
    first = ids.index("s1")
    assert len(page.encode()) < 3_000_000
    assert ids[:3] == ["main", "card0", "figure-card-sets"]
    assert {"figure-robustness-robustness-0", "figure-outliers-heights"} <= set(ids[:first])
    assert 'Beside the card: <a href="#figure-outliers-heights">' in page


def test_the_policy_allows_the_style_and_the_script_of_the_page_alone(page: str) -> None:
    metas = attributes(page, "meta")
    policy = next(item["content"] or "" for item in metas if "http-equiv" in item)
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[rule] == f"'sha256-{digest}'"
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "data:"


def test_markup_comes_from_templates_and_charts_alone() -> None:
    templates = {path.name: path.read_text("utf-8") for path in TEMPLATES.glob("*.html")}
    safe = [(name, result) for name, text in templates.items() for result in SAFE.findall(text)]
    assert safe == [("page.html", "style|safe"), ("page.html", "script|safe")]  # of this package
    assert not any("autoescape" in text for text in templates.values())
    sources = {path.name: path.read_text("utf-8") for path in TEMPLATES.parent.glob("*.py")}
    assert [name for name, text in sources.items() if "Markup(" in text] == ["svg.py"]


def test_nothing_leads_out_of_the_page_but_the_tables_beside_it(page: str, full: Report) -> None:
    links = {item["href"] or "" for item in attributes(page, "a")}
    assert all(re.fullmatch(r"#[\w-]+|tables/[a-z0-9_]+\.csv", item) for item in links)
    assert any(item.startswith("tables/") for item in links)
    alone = {item["href"] or "" for item in attributes(html(full), "a")}
    assert all(item.startswith("#") for item in alone)
    ids = {result.get("id") for _, result in Page(page).tags}
    assert {item.removeprefix("#") for item in alone} <= ids


def table(rows: int, file: bool = True) -> Section:
    return Section(
        title="Rows",
        content=(
            Prose(text=("Before.",)),
            Table(id="many", columns=(Column(id="n", title=("n",)),),
                  rows=tuple((i,) for i in range(rows)), file=file),
        ),
    )  # fmt: skip


def with_section(section: Section) -> Report:
    result = report()
    message = result.parts[0].model_copy(update={"section": section})
    return result.model_copy(update={"parts": (message,)})


def test_a_short_table_is_folded_and_a_long_one_only_named() -> None:
    short = html(with_section(table(3)))
    assert "<summary>Many (3 rows)</summary>" in short
    assert short.count('<td data-v="') >= 3
    long = html(with_section(table(101)), linked=True)
    assert "Many (101 rows)" not in long
    assert 'In full: <a href="tables/many.csv">tables/many.csv</a> (101 rows)' in long
    nowhere = html(with_section(table(101, file=False)))
    assert "Many (101 rows)" in nowhere
    assert "and 1 more" in nowhere


def test_a_table_lists_as_many_rows_as_it_asks_for_if_a_file_has_all() -> None:
    section = table(150)
    (long,) = (piece for piece in section.content if isinstance(piece, Table))
    asked = section.model_copy(update={"content": (long.model_copy(update={"shown": 20}),)})
    page, short = (html(with_section(each)) for each in (asked, table(3)))
    assert "130 more in tables/" in page
    assert page.count('<td data-v="') - short.count('<td data-v="') == 17


def test_points_have_names() -> None:
    points = Series(
        name="models", x=(0.1, 0.2), y=(0.3, 0.4), mark="points", role="context", names=("a<", "b")
    )
    chart = Chart(id="c", title="C", x_label="x", y_label="y", series=(points,))
    page = html(with_section(Section(title="S", content=(chart,))))
    assert page.count('<g class="point" role="img"><title>') == 2
    assert "<title>a&lt;: 0.1, 0.3</title>" in page


def test_names_below_bars_are_slanted_in_full_and_counts_are_whole() -> None:
    places = tuple(map(float, range(20)))
    bars = Series(name="images", x=places, y=(1.0,) * 20, mark="bars")
    names = tuple(f"elephant {i}" for i in range(20))
    chart = Chart(id="c", title="C", x_label="class", y_label="images", y_unit="count",
                  series=(bars,), ticks=names)  # fmt: skip
    page = html(with_section(Section(title="S", content=(chart,))))
    assert page.count("rotate(-60") == 20
    assert all(f">{name}</text>" in page for name in names)
    assert ">1</text>" in page
    assert ">0.5</text>" not in page


def test_a_term_is_explained_once_a_section_and_at_the_end(page: str) -> None:
    terms = [item for item in attributes(page, "a") if item.get("class") == "term"]
    assert "#term-kurtosis" in {item["href"] for item in terms}
    message = {result.get("id") for name, result in Page(page).tags if name == "dd"}
    for item in terms:
        assert item["aria-describedby"] in message
        assert item["data-tip"]
    for words, known in (("top-1 on objectnet", False), ("top-1 on ObjectNet", True)):
        text = html(with_section(Section(title="S", headline=(words,))))
        assert ("#term-imagenet-shifts" in text) == known  # a set is not the published one
    inside = page.partition('id="card0"')[2].partition('id="s1"')[0]
    assert inside.count('href="#term-kurtosis"') == 1


def test_the_command_versions_key_and_checks_are_told(full: Report) -> None:
    spec = {"model": "mini_clip", "data": "imagefolder:my photos", "sample": 9}
    page = html(full.model_copy(update={"spec": spec}))
    message = unescape(page.partition("<h2>How to reproduce</h2>")[2])
    shown = re.sub("</?span[^>]*>", "", message)
    assert "--data 'imagefolder:my photos' --sample 9" in shown
    assert '<span class="option">--sample</span>' in message
    assert full.key in message
    assert full.fingerprint.torch in message
    assert full.model.weights.digest in message
    other = html(full.model_copy(update={"spec": {"model": 3}}))
    assert "options of this run come from another version" in other


def test_pages_of_comparisons_show_their_tables_open() -> None:
    page = sections_html("Two", [table(3), table(3)])
    assert "<details" not in page.partition("<main")[2]
    ids = [result["id"] for _, result in Page(page).tags if "id" in result]
    assert len(ids) == len(set(ids))


def test_a_picture_that_a_section_names_exists() -> None:
    with pytest.raises(ValueError, match="no picture lost"):
        Section(title="S", pictures=("lost",))
    chart = Chart(id="c", title="C", x_label="x", y_label="y", series=(LINE,))
    named = Section(title="S", headline=("h",), pictures=("c",), content=(chart,))
    result = report(outliers=(outliers(),))
    message = result.parts[0].model_copy(update={"section": named, "block": "inside"})
    [block] = [
        item
        for item in card(result.model_copy(update={"parts": (message,)}))
        if item.block == "inside"
    ]
    assert block.pictures == (chart,)
