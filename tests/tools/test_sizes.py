"""The table of sizes: growth fails with what to do, the option renews it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.sizes import Size, measured, renewed, rows_of, run, size_of

SOURCE = '''"""A docstring
of two lines."""

# A comment.
def double(x):
    """Returns the double."""
    return (
        2 * x  # a comment

    )
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of three packages, with a table that fits."""
    for name in ("tuiprobe/report/page.py", "tuiprobe/api.py", "tests/test_api.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SOURCE, "utf-8")
    rows = "".join(
        f"| `{name}` | 1 | 4 | 4 | |\n" for name in ("tests", "tuiprobe", "tuiprobe/report")
    )
    (tmp_path / "CONTRIBUTING.md").write_text(f"Sizes:\n\n{rows}\nAfter it.\n", "utf-8")
    return tmp_path


def test_code_lines_have_no_blanks_comments_and_docstrings() -> None:
    assert size_of(SOURCE) == Size(files=1, code_lines=4, statements=4)
    assert size_of("x = 1; y = 2\n") == Size(files=1, code_lines=1, statements=2)


def test_growth_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More statements are growth too, where they take no further line."""
    file = root / "tuiprobe/report/page.py"
    assert run(root, write=False) == 0
    assert "was" not in capsys.readouterr().out
    for text, code, message in (
        (SOURCE + "x = 2\n", 1, "tuiprobe/report grew: edit its row in CONTRIBUTING.md"),
        (SOURCE.replace("    )", "    ); y = 3"), 1, "was 1 | 4 | 4"),
        (SOURCE.replace("2 * x", "x"), 0, ""),
        ("x = 2\n", 0, "1 | 1 | 1  was 1 | 4 | 4"),
    ):
        file.write_text(text, "utf-8")
        assert run(root, write=False) == code
        assert message in capsys.readouterr().out
    (root / "tuiprobe/labelling").mkdir()
    (root / "tuiprobe/labelling/__init__.py").write_text("", "utf-8")
    assert run(root, write=False) == 1
    assert "is new: add its row" in capsys.readouterr().out


def test_renewing_keeps_reasons_and_the_text_around(root: Path) -> None:
    table = root / "CONTRIBUTING.md"
    text = table.read_text("utf-8")
    text = text.replace("| `tests` | 1 | 4 | 4 | |", "| `tests` | 1 | 4 | 4 | more tests |")
    (root / "tests/test_more.py").write_text(SOURCE, "utf-8")
    after = renewed(text, measured(root))
    assert "| `tests` | 2 | 8 | 8 | more tests |\n" in after
    assert after.startswith("Sizes:\n\n")
    assert after.endswith("|\n\nAfter it.\n")
    assert rows_of(after)["tuiprobe"] == Size(1, 4, 4)
