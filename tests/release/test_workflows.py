"""The workflows fit this repository: scripts, files, actions. Steps run here where they can."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.release import tag
from tests.release.test_wheels import PYTHONS
from tuiprobe import __version__

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in FILES}
JOBS = {
    (name, job): WORKFLOWS[name]["jobs"][job]
    for name in WORKFLOWS
    for job in WORKFLOWS[name]["jobs"]
}
STEPS = [step for job in JOBS.values() for step in job.get("steps", ())]
RUNS = sorted({step["run"] for step in STEPS if "run" in step})
SCRIPTS = sorted((ROOT / ".ci").iterdir())
CALLS = "".join((ROOT / ".ci" / name).read_text("utf-8") for name in ("run", "nightly"))
ELSEWHERE = {".ci/wheels .", ".ci/wheels packages/cuda"}
"""Steps that need containers or other machines; docs/reliability.md says so."""


@pytest.mark.parametrize("run", RUNS)
def test_what_a_step_runs_is_there_and_called_here_too(run: str) -> None:
    words = shlex.split(run)
    files = [word for word in words if re.match(r"\.ci/|tests/|packages/", word)]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []
    if words[0].startswith(".ci/") and run not in ELSEWHERE:
        command = run.removesuffix(" dist")  # the folder that keeps the sdist
        assert re.search(rf'^(step ".+" )?{re.escape(command)}( |$)', CALLS, re.MULTILINE)


def test_every_script_is_called_by_a_workflow_and_every_python_is_tested() -> None:
    called = {run.split()[0] for run in RUNS} | {".ci/run", ".ci/nightly"}
    assert {f".ci/{path.name}" for path in SCRIPTS} <= called
    matrix = WORKFLOWS["checks"]["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == list(PYTHONS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run_and_names_what_exists(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    text, project = script.read_text("utf-8"), (ROOT / "pyproject.toml").read_text("utf-8")
    extras = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    for group in re.findall(r"'\.\[([\w,]+)\]'", text):
        assert set(group.split(",")) <= set(re.findall(r"^(\w+) = \[", extras, re.MULTILINE))
    named = re.findall(r"(?<![\w/-])(?:tests|packages)/[\w/.]+", text)
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_actions_are_pinned_by_commit_with_their_version_beside() -> None:
    pins = set()
    for used in (line for path in FILES for line in re.findall(r"uses: (.+)", path.read_text())):
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
    more = {job: JOBS[job]["permissions"] for job in JOBS if "permissions" in JOBS[job]}
    publishing = {("release", "publish"), ("release", "publish-macos")}
    assert more == {job: {"id-token": "write"} for job in publishing}
    assert {JOBS[job]["environment"] for job in publishing} == {"pypi"}
    assert "secrets." not in str(WORKFLOWS)
    assert "password" not in str([JOBS[job] for job in publishing])


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
    problems_found = tag.problems(name, changelog, "1.2.0")
    assert len(problems_found) == len(words)
    assert all(word in line for word, line in zip(words, problems_found, strict=True))


def test_the_citation_has_this_version_and_a_release_its_date() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    fields = yaml.safe_load(citation)
    released = f"## [{__version__}] - {fields['date-released']}\n"
    assert tag.citation_problems(citation, released, __version__) == []
    assert len(tag.citation_problems(citation, "## [9.9.9] - 2030-01-01\n", "9.9.9")) == 2


def test_a_release_of_another_repository_is_refused() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    source = tomllib.loads(project)["project"]["urls"]["Source"]
    repository = source.removeprefix("https://github.com/")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == source
    assert tag.address_problems(project, repository) == []
    assert len(tag.address_problems(project, "somebody/else")) == 1
