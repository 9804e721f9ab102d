"""What the workflow of CI runs."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin_assets.settings import PROJECT_ROOT, Settings

# The comments of a pull request, as `gh api` filters them with --jq, and what is sent.
GH = """#!/bin/bash
if [[ "$*" == *--jq* ]]; then
  [[ "$*" == *"$PULL/comments"* ]] && cat "$KNOWN"
else
  printf '%s\\n' "$*" > "$SENT"
fi
"""


def jobs() -> dict[str, Any]:
    return yaml.safe_load((PROJECT_ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]


def script(job: str, name: str) -> str:
    (step,) = [step for step in jobs()[job]["steps"] if step.get("name") == name]
    return step["run"]


def test_only_settings_that_there_are_are_set() -> None:
    named = {name for name in jobs()["checks"]["env"] if name.startswith("TWIN_")}
    assert named
    assert named <= {f"TWIN_{field.upper()}" for field in Settings.model_fields}


def test_what_may_write_runs_no_code_of_a_pull_request() -> None:
    for name, job in jobs().items():
        writes = "write" in job.get("permissions", {}).values()
        checks_out = any("checkout" in step.get("uses", "") for step in job["steps"])
        assert writes != checks_out, name
    assert "head.repo.full_name == github.repository" in jobs()["comment"]["if"]


@pytest.mark.parametrize(
    ("known", "sent"),
    [
        ("", "api --silent repos/jane/twin/issues/7/comments -F body=@comment.md"),
        ("11\n12\n", "api --silent --method PATCH repos/jane/twin/issues/comments/11 -F body=@comment.md"),
    ],
    ids=["the first time", "again"],
)
def test_there_is_one_comment(tmp_path: Path, known: str, sent: str) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "known").write_text(known)
    (tmp_path / "checks.md").write_text("### Asset checks\n")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    names = {"PATH": path, "PULL": "7", "GITHUB_REPOSITORY": "jane/twin", "KNOWN": "known", "SENT": "sent"}
    subprocess.run(["bash", "-e", "-c", script("comment", "Comment")], cwd=tmp_path, env=names, check=True)
    assert (tmp_path / "sent").read_text() == f"{sent}\n"
    assert (tmp_path / "comment.md").read_text() == "<!-- asset checks -->\n### Asset checks\n"


@pytest.mark.parametrize("made", [True, False])
def test_the_summary_says_so_when_the_run_did_not_end(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "checks.md").write_text("the table\n")
    names = {"PATH": os.environ["PATH"], "GITHUB_STEP_SUMMARY": "summary"}
    subprocess.run(["bash", "-e", "-c", script("checks", "Job summary")], cwd=tmp_path, env=names, check=True)
    assert ("the table" in (tmp_path / "summary").read_text()) == made
    assert ("did not come to its end" in (tmp_path / "checks.md").read_text()) != made
