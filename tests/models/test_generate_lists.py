"""The generated list is that of the installed libraries."""

import open_clip
import pytest
import timm

from tuiprobe.catalog import class_names
from tuiprobe.catalog.published_models import FILE, generated_with, list_date
from tuiprobe.models.generate_lists import generate, generate_imagenet, generate_templates


def test_the_list_equals_the_installed_libraries() -> None:
    installed = {"open_clip": open_clip.__version__, "timm": timm.__version__}
    if generated_with() != installed:
        pytest.skip(f"list of {generated_with()}, installed {installed}: regenerate it")
    assert FILE.read_text("utf-8") == generate(list_date())
    assert class_names.FILE.read_text("utf-8") == generate_imagenet()
    assert class_names.TEMPLATES_FILE.read_text("utf-8") == generate_templates()
