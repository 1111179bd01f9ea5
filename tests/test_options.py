"""Options have one home: the command line, its help, the reference and copied commands agree."""

import re
import shlex
import subprocess
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import pytest
import typer
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tuiprobe
from tests.conftest import Program
from tools.options_page import PAGE, page
from tuiprobe import options
from tuiprobe.api import ARGUMENTS
from tuiprobe.errors import UsageError
from tuiprobe.options import (
    Option,
    OptionError,
    OptionField,
    options_of,
    probe_options,
    validated,
    words_of,
)
from tuiprobe.request import (
    RunRequest,
    arguments_of,
    command_of,
    make_spec,
)
from tuiprobe.show.cli import app, headless
from tuiprobe.spec import RunSpec, run_option, run_options


def help_text(width: int, **meta: bool) -> str:
    """Returns the output of `--help` in lines of some width."""
    command: Any = typer.main.get_command(app.app)
    context = command.make_context("tuiprobe", ["models"], terminal_width=width)
    context.meta.update(meta)
    return command.get_help(context)


def parsed(words: list[str]) -> list[RunSpec]:
    """Returns the specs that the program would run."""
    asked: list[RunSpec] = []

    def run_requests(requests: list[RunRequest], *_: Any) -> int:
        asked.extend(request.spec for request in requests)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        # the folders need not exist
        patch.setattr(headless, "user_spec", lambda *asked: make_spec(*asked[:3]))
        patch.setattr(headless, "run_requests", run_requests)
        assert app.run_cli(["--headless", *words]) == 0
    return asked


def test_every_field_is_in_the_help_under_its_group() -> None:
    sections = re.split(
        r"^(\S[^\n]*):$", help_text(200, **{app.SHOW_ALL: True}), flags=re.MULTILINE
    )
    help_of = dict(zip(sections[1::2], sections[2::2], strict=True))
    for option in app.all_options():
        assert re.search(rf"^  (-\w, )?{option.flag}\b", help_of[option.option.group], re.MULTILINE)
        assert option.option.help.split()[0] in help_of[option.option.group]
    assert "--help" in help_of["Program"]
    assert "models" in help_of["Commands"]
    text = " ".join(" ".join(sections).split())
    for part in ("--tokens all|class|mean", f"[default: {RunSpec.device}]", "Repeatable."):
        assert part in text


@pytest.mark.parametrize("command", ["", "compare", "miniature", "miniature export"])
def test_help_is_printed_on_request(command: str, program: Program) -> None:
    printed = []
    for flag in ("-h", "--help", *([] if command else ["--help-all"])):
        printed.append(program(*command.split(), flag).out)
    assert printed[0] == printed[1]
    assert printed[0].startswith(f"Usage: tuiprobe {command}")
    if not command:
        assert all(option.flag in printed[2] for option in app.all_options())
        out, err = program("--model", "mini_clip", code=2)
        assert (out, "need --headless" in err) == ("", True)


def test_the_first_screen_of_help_has_the_question_examples_and_common_options() -> None:
    lines = help_text(78).splitlines()  # what a terminal of 80 columns has
    assert len(lines) <= 48
    assert max(map(len, lines)) < 80
    assert "Compare image models on your pictures" in lines[2]
    options = lines[lines.index("Options:") + 1 : lines.index("Commands:") - 1]
    common = [option.flag for option in app.all_options() if option.option.common]
    flags = [re.findall(r"--[a-z-]+", line)[0] for line in options]
    assert sorted(flags) == sorted([*common, "--help"])
    assert 15 <= len(common) <= 22
    examples = [
        re.split("  +", line.strip())[0].split()
        for line in lines
        if line[4:].startswith("tuiprobe ")
    ]
    assert len(examples) == 3
    for _, *words in examples:
        assert words[0] == "compare" or parsed(words[1:])
    names = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert names == [*(name for _, name, _ in app.COMMANDS), "miniature"]


def test_the_page_of_options_and_commands_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tools.options_page"


def values_of(option: OptionField) -> st.SearchStrategy[Any]:
    """Values a user may give; None is as good as nothing."""
    if option.name == "probe":
        return st.just(())
    low, high = option.option.ge, option.option.le
    text = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=8)
    value: st.SearchStrategy[Any] = text
    if option.kind is bool:
        return st.booleans()
    if option.choices:
        value = st.sampled_from(option.choices)
    elif option.kind is int:
        value = st.integers(-99 if low is None else int(low), 999 if high is None else int(high))
        if option.option.typed_none == 0:
            value |= st.just(0)
    elif option.kind is float:
        value = st.floats(low or 0, high)
    if option.many:
        return st.lists(value, max_size=3).map(tuple)
    return value if option.required else st.none() | value


def drawn(option: OptionField) -> st.SearchStrategy[Any]:
    if option.name == "model":
        return st.sampled_from(["mini_clip", "rn50_openai", "-x", "a 'b' $c", "é"])
    if option.name == "data":
        return st.sampled_from(
            ["miniature", "miniature:val", "imagefolder:my photos", "--headless"]
        )
    return values_of(option)


def of_kind(*kinds: str) -> list[OptionField]:
    return [o for o in run_options() if o.option.fits in kinds and not o.option.stands_for]


GIVEN = st.fixed_dictionaries({o.name: drawn(o) for o in of_kind("", "images")})
VECTORS = st.fixed_dictionaries(
    {
        o.name: st.none() if o.name in ("model", "data", "head", "target") else drawn(o)
        for o in of_kind("", "vectors")
    }
    | {
        "embeddings": st.sampled_from(["rows.npy", "-x.npy", "a/img_emb_*.npy", "s.npz::train"]),
        "target_embeddings": st.none() | st.just(["x.npy", "-y.npy"]),
    }
)


def typed(command: str) -> list[str]:
    """Returns the words of a command as a shell reads them; Python reads no `$'...'`."""
    if "$'" not in command:
        return shlex.split(command)
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True)
    return done.stdout.decode().split("\0")[:-1]


@settings(deadline=None)
@given(GIVEN | VECTORS)
def test_a_spec_becomes_a_command_line_and_the_same_spec(values: dict[str, Any]) -> None:
    model, data = values.pop("model"), values.pop("data")
    spec = make_spec(model, data, values)
    command = command_of(spec.to_json())
    assume("\0" not in "".join(arguments_of(spec)))  # no command line holds it
    program, how, *words = typed(command)
    assert (program, how) == ("tuiprobe", "--headless")
    assert parsed(words) == [spec]
    assert words == arguments_of(spec)


@pytest.mark.parametrize(
    ("model", "data", "given"),
    [
        ("mini_clip", None, {"embeddings": "x.npy"}),
        (None, "miniature", {"embeddings": "x.npy"}),
        (None, None, {"embeddings": "x.npy", "layers": ("a",)}),
        (None, None, {"embeddings": "x.npy", "batch_size": 7}),
        (None, None, {"embeddings": "x.npy", "head": "zero-shot"}),
        (None, None, {"training": "supervised"}),
        ("mini_clip", None, {"target_embeddings": ["x.npy"]}),
    ],
)
def test_vectors_and_images_exclude_each_other(model: Any, data: Any, given: dict) -> None:
    with pytest.raises(UsageError, match="--"):
        make_spec(model, data, given)


def test_no_more_words_than_needed() -> None:
    spec = make_spec("rn50_openai", "imagefolder:x", {})
    assert arguments_of(spec) == ["--model", "rn50_openai", "--data", "imagefolder:x"]
    plain = make_spec("mini_clip", "miniature", {})
    assert arguments_of(plain) == ["--model", "mini_clip"]  # a folder may be called miniature
    fewer = make_spec("mini_clip", "miniature", {"sample": 60})
    assert arguments_of(fewer)[2:] == ["--sample", "60"]
    silent = replace(plain, concepts=None, concept_sample=None, target=())
    assert arguments_of(silent)[2:] == ["--target", "none", "--concepts", "none"]


def test_a_spec_of_another_version_gives_no_command() -> None:
    with pytest.raises(UsageError, match=r"--tokens: .*'class'"):
        command_of({"model": "m", "data": "d", "tokens": "some"})
    earlier = {"model": "m", "data": "d", "sample": 9, "seed": 8, "unknown": 1}
    assert command_of(earlier).endswith("--data d --sample 9 --seed 8")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampel": 64}, "there is no option 'sampel'; did you mean sample?"),
        ({"zzz": 1}, "there is no option 'zzz'; there are embeddings, target_embeddings"),
        ({"sample": -3}, "--sample: .* at least 1, or 0 for all .got -3."),
        ({"tokens": "some"}, "--tokens: .*'all', 'class' or 'mean' .got 'some'."),
        ({"layers": 3}, "--layers takes text .*, not a int"),
    ],
)
def test_python_answers_a_wrong_option_in_one_sentence(given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        tuiprobe.probe("mini_clip", "miniature", **given)
    assert caught.value.__notes__ == [ARGUMENTS]


def test_a_suite_and_data_exclude_each_other(program: Program) -> None:
    out, err = program("--headless", "--suite", "auto", "--data", "x", code=2)
    assert (out, "--suite names all sets" in err) == ("", True)


# Options of a stranger's probes.


@dataclass(frozen=True)
class Blur:
    radius: Annotated[float, Option("Radius in pixels.", ge=0)] = 1.5
    steps: Annotated[int, Option("Steps.", ge=1)] = 3
    modes: tuple[str, ...] = ()
    edge: Literal["wrap", "zero"] = "wrap"
    dry_run: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class Count:
    least: Annotated[int, Option("Least count.", "Count", ge=2)] = 2
    name: Annotated[str, Option("Name.", min_length=1)] = "n"


KNOWN = {"blur": lambda: Blur, "count": lambda: Count}


def test_the_options_of_a_strangers_probe_are_parsed_and_checked() -> None:
    texts = [
        "blur.radius=2", "blur.modes=a", "blur.modes=b=c", "count.least=5", "blur.dry-run=true",
        "blur.limit=4",
    ]  # fmt: skip
    result = probe_options(texts, KNOWN)
    assert result == {
        "blur": Blur(radius=2.0, modes=("a", "b=c"), dry_run=True, limit=4),
        "count": Count(least=5),
    }
    assert probe_options([], KNOWN) == {}

    def fails() -> type:
        raise AssertionError("loaded unasked")

    assert probe_options(["count.least=3"], {**KNOWN, "broken": fails})["count"].least == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["blur"], "--probe blur: write ID.KEY=VALUE"),
        (["blurr.radius=3"], "no probe with options is called 'blurr'; did you mean blur[?]"),
        (["xyz.radius=3"], "no probe with options is called 'xyz'; there are blur, count"),
        (["blur.radios=3"], "blur has no option 'radios'; did you mean radius[?]"),
        (["blur.radius=x"], "--probe blur.radius: .*number.*'x'"),
        (["blur.edge=no"], "--probe blur.edge: .*'wrap' or 'zero'"),
        (["count.least=1"], "--probe count.least: .*at least 2"),
        (["count.name="], "--probe count.name: .*at least 1 character"),
        (["blur.radius=1", "blur.radius=2"], "--probe blur.radius: given 2 times"),
    ],
)
def test_a_wrong_option_of_a_strangers_probe_is_one_sentence(texts, message):
    with pytest.raises(UsageError, match=message) as caught:
        probe_options(texts, KNOWN)
    assert "\n" not in str(caught.value)


def test_a_probes_options_go_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "installed_probes", lambda: KNOWN)
    spec = make_spec("mini_clip", "miniature", {"probe": ["blur.radius=2", "count.least=3"]})
    words = arguments_of(spec)
    assert words[-4:] == ["--probe", "blur.radius=2", "--probe", "count.least=3"]
    assert parsed(words) == [spec]


def test_options_are_read_from_fields() -> None:
    radius, steps, modes, edge, dry_run, limit = options_of(Blur)
    assert (radius.kind, radius.default, radius.option.help) == (float, 1.5, "Radius in pixels.")
    assert (steps.kind, steps.default, modes.many, edge.choices) == (int, 3, True, ("wrap", "zero"))
    assert (dry_run.flag, dry_run.kind, limit.kind, limit.default) == ("--dry-run", bool, int, None)
    assert words_of(options_of(Blur), {"radius": 1.5, "dry_run": True, "edge": "zero"}) == [
        "--edge", "zero", "--dry-run",
    ]  # fmt: skip
    least, name = options_of(Count)
    assert (least.option.group, least.default, name.metavar) == ("Count", 2, "TEXT")
    with pytest.raises(OptionError, match="--least") as caught:
        validated(Count, {"least": 1})
    assert caught.value.name == "least"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("batch_size", "65537", "give a whole number at least 1 and at most 65536"),
        ("batch_size", "None", "give a whole number"),
        ("sample", "0", ""),
        ("sample", "-1", "give a whole number at least 1, or 0 for all"),
        ("seed", "-1", "give a whole number at least 0"),
        ("max_unreadable", "2", "give a number at least 0 and at most 1"),
        ("max_unreadable", "nan", "give a number"),
        ("batch_size", "9" * 400, "give a whole number"),
        ("tokens", "some", "give one of all, class, mean"),
        ("head", "anything", ""),
    ],
)
def test_a_form_says_what_is_wrong_with_a_text(name: str, text: str, problem: str) -> None:
    assert run_option(name).problem(text).startswith(problem)
    assert bool(run_option(name).problem(text)) == bool(problem)
