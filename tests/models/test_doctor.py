"""The doctor on the shipped miniature: its known answer, and breaks on purpose."""

from pathlib import Path

import pytest

from tuiprobe import miniature
from tuiprobe.errors import UsageError
from tuiprobe.models.doctor import check_installation, examine, published_accuracy
from tuiprobe.models.load import load_encoder


def test_the_installation_is_sound() -> None:
    assert {check.status for check in check_installation()} == {"pass"}


@pytest.mark.slow
def test_mini_clip_gives_its_known_answer() -> None:
    checks = {check.name: check for check in examine("mini_clip", data="miniature:val")}
    assert checks["known answer"].status == "pass", checks["known answer"]
    assert {check.status for check in checks.values()} == {"pass"}


@pytest.mark.slow
def test_a_wrong_class_order_is_named(tmp_path: Path) -> None:
    names = miniature.class_names()
    path = tmp_path / "classes.txt"
    path.write_text("\n".join((*names[1:], names[0])))
    checks = examine("mini_clip", data="miniature:val", classes=path)
    answer = next(check for check in checks if check.name == "known answer")
    assert answer.status == "fail"
    assert answer.fix == "restoring the class order restores it"


def test_data_need_a_model() -> None:
    with pytest.raises(UsageError, match="--data needs --model"):
        examine(data="miniature:val")


@pytest.mark.slow
def test_only_published_weights_have_a_published_answer(rn50_file: Path) -> None:
    assert published_accuracy(load_encoder("rn50_openai", checkpoint=rn50_file)) is None
