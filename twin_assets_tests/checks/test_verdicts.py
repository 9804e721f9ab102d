"""Verdicts as tables, Markdown, JUnit XML and an exit code."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.verdicts import COLUMNS, MAX_CELL, Verdict, exit_code, junit_xml, markdown, summary, table_rows

PASSED = Verdict("voice/voice_profile", "recognised", "passed", description="100 %", seconds=1.25)
FAILED = Verdict("features/chunks", "covered", "failed", blocking=True, description="two documents <b> | have\nnone")
WARNED = Verdict("ingest/raw_posts", "answered", "failed", "WARN", description="a login page")
NOT_RUN = Verdict("serving/tgi_deployment", "healthy", "not run", description="it was not made")
ALL = [PASSED, WARNED, NOT_RUN, FAILED]


def case(xml: str, check: str) -> ElementTree.Element:
    (found,) = [element for element in ElementTree.fromstring(xml).iter("testcase") if element.get("name") == check]
    return found


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [([PASSED], 0), ([PASSED, WARNED], 0), ([PASSED, FAILED], 1), ([PASSED, NOT_RUN], 1), ([], 1)],
    ids=["all passed", "a warning", "an error", "one did not run", "no check at all"],
)
def test_what_fails(verdicts: list[Verdict], code: int) -> None:
    assert exit_code(verdicts) == code


def test_the_summary_counts_each_check_once() -> None:
    assert summary(ALL) == "4 checks: 1 passed, 1 failed, 1 warned, 1 did not run."


def test_what_needs_attention_comes_first() -> None:
    assert [row[1] for row in table_rows(ALL)] == ["covered", "healthy", "answered", "recognised"]
    assert table_rows([FAILED, PASSED]) == [
        ("features/chunks", "covered", "failed", "ERROR, blocking", "", "two documents <b> | have\nnone"),
        ("voice/voice_profile", "recognised", "passed", "ERROR", "1.2", "100 %"),
    ]


def test_markdown_has_a_row_per_check_whatever_it_says() -> None:
    page = markdown(ALL)
    rows = [line for line in page.split("<details>")[1].splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(ALL)
    assert rows[1] == r"| ❌ | `features/chunks` | `covered` | failed | ERROR, blocking |  | two documents &lt;b&gt; \| have none |"
    assert [row[2:3] for row in rows[1:]] == ["❌", "🚫", "⚠", "✅"]
    assert "❌ 4 checks" in page and "✅ 1 checks" in markdown([PASSED])
    assert "`recognised`" not in page.split("<details>")[0]


def test_a_long_description_is_cut_in_markdown_alone() -> None:
    long = Verdict("a/b", "c", "failed", description="x" * 1000)
    assert "x" * MAX_CELL not in markdown([long])
    assert "x" * 1000 in junit_xml([long])


def test_junit_tells_failures_errors_and_warnings_apart() -> None:
    xml = junit_xml(ALL)
    for suite in (ElementTree.fromstring(xml), ElementTree.fromstring(xml)[0]):
        assert {name: suite.get(name) for name in ("tests", "failures", "errors", "time")} == {
            "tests": "4",
            "failures": "1",
            "errors": "1",
            "time": "1.250",
        }
    failure = case(xml, "covered").find("failure")
    assert failure is not None
    assert failure.get("message") == FAILED.description
    assert case(xml, "covered").get("classname") == "features/chunks"
    error = case(xml, "healthy").find("error")
    assert error is not None
    assert (error.get("type"), error.text) == ("ERROR", "it was not made")
    assert [child.tag for child in case(xml, "answered")] == ["system-out"]
    assert case(xml, "answered").findtext("system-out") == "WARN: failed. a login page"
    assert case(xml, "recognised").get("time") == "1.250"
    assert case(xml, "recognised").findtext("system-out") == "100 %"


@given(st.text(st.characters(codec=None)), st.sampled_from(["passed", "failed", "not run"]))
def test_whatever_a_check_says_the_xml_is_valid_and_the_table_whole(said: str, status: str) -> None:
    verdict = Verdict("a/b", "c", status, description=f"\x00\ud800]]>{said}")  # pyright: ignore[reportArgumentType]
    xml = junit_xml([verdict]).encode()
    assert ElementTree.fromstring(xml).get("tests") == "1"
    (row,) = [line for line in markdown([verdict]).split("<details>")[1].splitlines() if "`a/b`" in line]
    assert row.replace(r"\|", "").count("|") == len(COLUMNS) + 2
