"""The workflows fit this repository: scripts, files, actions. Steps run here where they can."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import tuiprobe
from tests.release import tag
from tests.release.test_wheels import PYTHONS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
CI_RUN = (ROOT / ".ci" / "run").read_text("utf-8")
CALLS = CI_RUN + (ROOT / ".ci" / "nightly").read_text("utf-8")
ELSEWHERE = {".ci/wheels .", ".ci/wheels packages/cuda"}
"""Steps that need containers or other machines; docs/howto/install.md says so."""


class Step(NamedTuple):
    """One step of a job."""

    workflow: str
    job: str
    uses: str
    run: str


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields workflow, name and content of every job."""
    for name, workflow in WORKFLOWS.items():
        for job, content in workflow["jobs"].items():
            yield name, job, content


STEPS = [
    Step(workflow, job, step.get("uses", ""), step.get("run", ""))
    for workflow, job, content in jobs()
    for step in content.get("steps", ())
]
RUNS = [step for step in STEPS if step.run]


def needs(job: dict[str, Any]) -> list[str]:
    """Returns the names of the jobs that a job waits for."""
    found = job.get("needs", [])
    return [found] if isinstance(found, str) else found


def test_there_is_a_workflow_for_everything_a_release_needs() -> None:
    called = {step.run.split(maxsplit=1)[0] for step in RUNS}
    assert set(WORKFLOWS) == {"checks", "wheels", "release"}
    assert {".ci/lint", ".ci/docs", ".ci/readme", ".ci/wheel", ".ci/wheels"} <= called


def test_tests_run_on_every_python_that_is_supported() -> None:
    matrix = WORKFLOWS["checks"]["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == list(PYTHONS)


@pytest.mark.parametrize("step", RUNS, ids=lambda step: f"{step.workflow}-{step.job}-{step.run}")
def test_what_a_step_runs_is_there_and_called_here_too(step: Step) -> None:
    words = shlex.split(step.run)
    named = [word for word in words if re.match(r"\.ci/|tests/|packages/", word)]
    assert named
    for word in named:
        assert (ROOT / word).exists(), word
        if word.startswith(".ci/"):
            assert os.access(ROOT / word, os.X_OK), word
    if words[0].startswith(".ci/") and step.run not in ELSEWHERE:
        command = step.run.removesuffix(" dist")  # the folder that keeps the sdist
        assert re.search(rf'^(step ".+" )?{re.escape(command)}( |$)', CALLS, re.MULTILINE), step.run


def test_the_lowest_versions_are_run_by_a_workflow_and_every_night() -> None:
    assert ".ci/lowest" in {step.run for step in RUNS}
    assert re.search(r'^step ".+" \.ci/lowest$', CALLS, re.MULTILINE)


def test_ci_run_is_made_of_the_scripts_and_ends_with_the_line_of_the_tests() -> None:
    called = set(re.findall(r"^(\.ci/\w+)", CI_RUN, re.MULTILINE))
    scripts = {f".ci/{path.name}" for path in (ROOT / ".ci").iterdir()}
    assert scripts - called == {".ci/run", ".ci/nightly", ".ci/wheels", ".ci/lowest"}
    assert CI_RUN.splitlines()[-1] == """printf '%s\\n' "$closing\""""


@pytest.mark.parametrize("script", (ROOT / ".ci").iterdir(), ids=lambda path: path.name)
def test_a_script_installs_extras_and_constraints_that_exist(script: Path) -> None:
    text = script.read_text("utf-8")
    extras = tuiprobe_extras()
    for group in re.findall(r"'\.\[([\w,]+)\]'", text):
        assert set(group.split(",")) <= extras
    for named in re.findall(r"-c (\S+/\S+\.txt)", text):
        assert (ROOT / named).is_file()


def tuiprobe_extras() -> set[str]:
    """Returns the names of the extras in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    part = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    return set(re.findall(r"^(\w+) = \[", part, re.MULTILINE))


def test_actions_are_pinned_by_commit_with_their_version_beside() -> None:
    pins = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses: (.+)", path.read_text("utf-8")):
            if used.startswith("./"):
                assert (ROOT / used).is_file(), used
            else:
                pin = re.fullmatch(r"([\w-]+/[\w-]+)@([0-9a-f]{40})  # (v\d+\.\d+\.\d+)", used)
                assert pin, used
                pins.add(pin.groups())
    assert len(pins) == len({action for action, *_ in pins})  # one version of each


def test_only_the_job_that_publishes_may_do_more_than_read() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
    more = {
        (name, job): content["permissions"]
        for name, job, content in jobs()
        if "permissions" in content
    }
    assert more == {("release", "publish"): {"id-token": "write"}}
    publish = WORKFLOWS["release"]["jobs"]["publish"]
    assert publish["environment"] == "pypi"
    assert "secrets." not in str(WORKFLOWS)
    assert "password" not in str(publish)


def test_nothing_is_published_before_checks_wheels_and_tag_have_passed() -> None:
    release = WORKFLOWS["release"]["jobs"]
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    assert needs(release["publish"]) == ["checks", "wheels"]
    for name in ("checks", "wheels"):
        assert needs(release[name]) == ["tag"]
        assert release[name]["uses"] == f"./.github/workflows/{name}.yml"
        assert "workflow_call" in WORKFLOWS[name][True]


def test_what_is_published_is_what_was_built() -> None:
    uploads = {
        step["with"]["name"]
        for _, _, content in jobs()
        for step in content.get("steps", ())
        if "upload-artifact" in step.get("uses", "") and step["with"]["path"] == "dist"
    }
    assert uploads == {"dist-sdist", "dist-${{ matrix.os }}", "dist-cuda-${{ matrix.os }}"}
    download = WORKFLOWS["release"]["jobs"]["publish"]["steps"][0]
    assert download["with"] == {"pattern": "dist-*", "path": "dist", "merge-multiple": True}


CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-31\n\n### Added\n"


@pytest.mark.parametrize(
    ("name", "changelog", "words"),
    [
        ("v1.2.0", CHANGELOG, []),
        ("1.2.0", CHANGELOG, ["the tag is 1.2.0"]),
        ("v1.2.0", CHANGELOG.replace(" - 2026-01-31", ""), ["must begin with"]),
        ("v1.2.0", CHANGELOG.replace("## [Unreleased]\n", ""), ["must begin with"]),
        ("v1.2.0", CHANGELOG.replace("ed]\n", "ed]\n\n### Fixed\n\n- One.\n"), ["has entries"]),
    ],
)
def test_a_tag_must_fit_version_and_changelog(name: str, changelog: str, words: list[str]) -> None:
    found = tag.problems(name, changelog, "1.2.0")
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("step", [s for s in RUNS if not s.run.startswith(".ci/")], ids=str)
def test_a_step_that_no_script_holds_runs_here(step: Step) -> None:
    environment = {**os.environ, "GITHUB_REF_NAME": "v0.0.0"}
    done = subprocess.run(
        ["bash", "-e", "-c", step.run], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"the tag is v0.0.0, tuiprobe/__init__.py says {tuiprobe.__version__}" in done.stderr
