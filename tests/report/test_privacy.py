"""Names of files and folders stay in the house; what the report is about stays in the report."""

from __future__ import annotations

from tests.report.samples import model, report
from tuiprobe.report.privacy import without_paths
from tuiprobe.results import DataSet, Skipped


def test_paths_in_any_sentence_are_left_out() -> None:
    found = report(
        model=model(name="local:/home/me/nets/secret", ablated=("see ~/notes/secret.txt",)),
        data=(
            DataSet(
                name="val",
                source="imagefolder:secret",
                images=2,
                measured=1,
                skipped=(Skipped(path="secret dir/c.JPEG", reason="secret dir/c.JPEG: cut"),),
            ),
        ),
        spec={
            "model": "local:/home/me/nets/secret",
            "data": "imagefolder:secret",
            "target": ["imagefolder:../secret"],
            "baseline": "secret.csv",
            "seed": 3,
        },
        warnings=(
            "cannot read /srv/secret/7/a.png: truncated",
            r"C:\secret\b.jpg is no image",
            "secret dir/c.JPEG has other labels",
        ),
    )
    private = without_paths(found)
    text = private.to_json()
    assert "/secret" not in text
    assert "secret dir" not in text
    assert "\\\\secret" not in text
    assert "imagefolder:secret" not in text
    assert not [end for end in (".png", ".jpg", ".JPEG", ".csv") if f"secret{end}" in text]
    assert private.warnings == (
        "cannot read …: truncated",
        "… is no image",
        "… has other labels",
    )
    assert private.data[0].skipped == (Skipped(path="…", reason="…: cut"),)
    assert private.spec == {
        "model": "local:…",
        "data": "imagefolder:…",
        "target": ["imagefolder:…"],
        "baseline": "…",
        "seed": 3,
    }


def test_figures_names_of_sets_and_links_stay() -> None:
    found = report(warnings=("see https://arxiv.org/abs/2310.13040 and/or docs",))
    private = without_paths(found)
    assert private.warnings == found.warnings
    assert [one.figures for one in private.parts] == [one.figures for one in found.parts]
    assert [one.name for one in private.data] == ["val"]
    assert private.model.weights.digest == found.model.weights.digest
    assert private.model.name == found.model.name
