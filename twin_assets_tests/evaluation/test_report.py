import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from twin_assets.evaluation.report import LABELS, plots, table, to_html, to_markdown
from twin_assets.evaluation.rungs import Ladder, Opinion
from twin_assets.voice.evidence import NotEnough
from twin_assets_tests.evaluation.conftest import HOSTILE, make_ladder

_PNG = b"\x89PNG\r\n\x1a\n"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"} or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(ladder: Ladder) -> _Page:
    page = _Page()
    page.feed(to_html(ladder, plots(ladder)))
    return page


def test_hostile_texts_stay_texts(page: _Page):
    assert "script" not in page.tags
    assert page.text.count(HOSTILE.strip()) == 2  # once as a prompt, once as an answer


def test_the_page_needs_nothing_beside_it(page: _Page):
    assert len(page.links) == 4
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_every_rung_is_in_the_table_with_its_interval(ladder: Ladder):
    lines = table(ladder).splitlines()
    assert len(lines) == 2 + len(ladder.rungs)
    assert len({line.count("|") for line in lines}) == 1
    assert "6 of 8 = 75% (41% to 93%)" in next(line for line in lines if line.startswith("| Twin |"))
    assert all(label in "\n".join(lines) for label in LABELS.values())


def test_no_text_ends_its_markdown_block(ladder: Ladder):
    markdown = to_markdown(ladder)
    outside = re.sub(r"^(`{3,})text\n.*?\n\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    assert HOSTILE in markdown
    assert "<script" not in outside and "javascript:" not in outside


def test_plots_are_pictures_and_differ_with_the_figures():
    one, other = plots(make_ladder(base=3)), plots(make_ladder(base=4))
    assert all(data.startswith(_PNG) for data in one.values())
    assert one["voice.png"] != other["voice.png"]
    assert one["verbatim.png"] == other["verbatim.png"]


def test_the_differences_have_their_intervals(ladder: Ladder):
    markdown = to_markdown(ladder)
    assert "| Texts that sound like the author: twin over base + few-shot + RAG | +0.12 |" in markdown
    assert "another author's twin" in markdown
    assert "too little to score" in to_html(make_ladder(prompts=8, base=2), {}) + markdown


def test_a_second_opinion_is_told_rung_by_rung(ladder: Ladder):
    heard = replace(ladder, opinion=Opinion(0.9, {"base": 0.05, "twin": 0.7, "human": 0.85}))
    said = "gave 90% of unseen texts to the right side in its trial, takes for the author's: Base model 5%, Twin 70%, The author 85%."
    assert said in to_markdown(heard) and said in unescape(to_html(heard, {}))
    assert (heard.figures["style_right"], heard.figures["style_twin"]) == (0.9, 0.7)
    assert "has no say. Too few." in to_markdown(replace(ladder, opinion=NotEnough("Too few.", 0)))


def test_the_report_says_what_it_was_made_with(ladder: Ladder):
    made = replace(ladder, versions={"dataset_version": "d41d8cd98f00b204", "profile_version": "<b>"})
    assert "Made with dataset d41d8cd98f00b204, profile <b>." in to_markdown(made)
    assert "profile &lt;b&gt;." in to_html(made, {})
    assert "Made with" not in to_markdown(ladder)


def test_a_single_prompt_is_enough_for_a_report():
    assert "<h2>The ladder</h2>" in to_html(make_ladder(base=0, twin=1, prompts=1), {})
