"""How the asset checks ended: one verdict per check, as a table, as Markdown, as JUnit XML and as an exit code."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

Status = Literal["passed", "failed", "not run"]
Severity = Literal["ERROR", "WARN"]

COLUMNS = ("asset", "check", "result", "severity", "seconds", "what it says")
MARKS = {"passed": "✅", "failed": "❌", "not run": "🚫"}
WARNING = "⚠️"
MAX_CELL = 300  # a comment on GitHub holds 65,536 characters, all rows together

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one check ended.

    Attributes:
        asset: The asset that it is about, as ``stage/name``.
        check: Its name.
        status: Whether it passed, failed, or never came to run.
        severity: What a failure of it means; one that did not run counts as an error, for nothing is known.
        blocking: Whether a failure stops what is made from the asset.
        description: What it says of itself, or why it did not run.
        seconds: How long it took, where that is known.
    """

    asset: str
    check: str
    status: Status
    severity: Severity = "ERROR"
    blocking: bool = False
    description: str = ""
    seconds: float | None = None

    @property
    def is_error(self) -> bool:
        """Whether it alone is enough to fail."""
        return self.status != "passed" and self.severity == "ERROR"


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """1 when a check of severity ERROR failed or did not run, and when there is no check at all; otherwise 0."""
    return int(not verdicts or any(verdict.is_error for verdict in verdicts))


def summary(verdicts: Sequence[Verdict]) -> str:
    """The counts in one line."""
    failed = [verdict for verdict in verdicts if verdict.status == "failed"]
    errors = sum(verdict.is_error for verdict in failed)
    not_run = sum(verdict.status == "not run" for verdict in verdicts)
    passed = len(verdicts) - len(failed) - not_run
    return f"{len(verdicts)} checks: {passed} passed, {errors} failed, {len(failed) - errors} warned, {not_run} did not run."


def table_rows(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """Plain cells under ``COLUMNS``, what needs attention first."""
    return [
        (
            verdict.asset,
            verdict.check,
            verdict.status,
            f"{verdict.severity}, blocking" if verdict.blocking else verdict.severity,
            "" if verdict.seconds is None else f"{verdict.seconds:.1f}",
            verdict.description,
        )
        for verdict in _by_urgency(verdicts)
    ]


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The summary, a table of what did not pass, and the table of all checks, folded."""
    urgent = [verdict for verdict in verdicts if verdict.status != "passed"]
    parts = [f"### Asset checks\n\n{MARKS['failed'] if exit_code(verdicts) else MARKS['passed']} {summary(verdicts)}"]
    if urgent:
        parts.append(_markdown_table(urgent))
    if verdicts:
        parts.append(f"<details><summary>All checks</summary>\n\n{_markdown_table(verdicts)}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def junit_xml(verdicts: Sequence[Verdict]) -> str:
    """One test case per check, with its asset as the class.

    A failed check of severity WARN is a passed test case that says so; a check that did not run is an error.
    """
    suite = ElementTree.Element("testsuite", {"name": "asset checks", **_counts(verdicts)})
    for verdict in verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_xml_text(verdict.asset), name=_xml_text(verdict.check), time=f"{verdict.seconds or 0:.3f}"
        )
        said = _xml_text(verdict.description)
        if verdict.is_error:
            tag = "failure" if verdict.status == "failed" else "error"
            ElementTree.SubElement(case, tag, message=said, type=verdict.severity).text = said
        elif verdict.status == "passed":
            ElementTree.SubElement(case, "system-out").text = said
        else:
            ElementTree.SubElement(case, "system-out").text = f"{verdict.severity}: {verdict.status}. {said}"
    suites = ElementTree.Element("testsuites", _counts(verdicts))
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    errors = [verdict.status for verdict in verdicts if verdict.is_error]
    return {
        "tests": str(len(verdicts)),
        "failures": str(errors.count("failed")),
        "errors": str(errors.count("not run")),
        "time": f"{sum(verdict.seconds or 0 for verdict in verdicts):.3f}",
    }


def _xml_text(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold, escaped or not."""
    return _NOT_XML.sub("\ufffd", text)


def _by_urgency(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda verdict: (not verdict.is_error, verdict.status == "passed", verdict.asset, verdict.check))


def _markdown_table(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(_markdown_lines(verdicts))


def _markdown_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield f"| {' | '.join(['', *COLUMNS])} |"
    yield f"|{'---|' * (len(COLUMNS) + 1)}"
    for verdict, row in zip(_by_urgency(verdicts), table_rows(verdicts), strict=True):
        mark = WARNING if verdict.status != "passed" and not verdict.is_error else MARKS[verdict.status]
        yield f"| {' | '.join([mark, *map(_code, row[:2]), *map(_cell, row[2:])])} |"


def _code(name: str) -> str:
    return f"`{name}`"


def _cell(text: str) -> str:
    """One line that shows as it is written, whatever it holds."""
    line = " ".join(text.split())
    line = line if len(line) <= MAX_CELL else f"{line[: MAX_CELL - 1]}…"
    return _MARKDOWN.sub(r"\\\1", html.escape(line, quote=False))
