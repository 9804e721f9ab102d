import pytest

from twin_assets.cleaning.quality import documents_present, no_interface_lines
from twin_assets_tests.cleaning.posts import document


def test_no_documents_says_what_to_do() -> None:
    finding = documents_present("ada", [])
    assert not finding.passed
    assert "twin inspect" in finding.description
    assert documents_present("ada", [document("a")]).passed


@pytest.mark.parametrize(
    "line",
    [
        "Share this post",
        "Subscribe",
        "Subscribe now!",
        "Thanks for reading!",
        "Thanks for reading Ada’s Notes! Subscribe for free to receive new posts and support my work.",
        "Originally published at https://example.org/x",
        "Ready for more?",
    ],
)
def test_an_interface_line_is_found_and_shown(line: str) -> None:
    finding = no_interface_lines([document("a", text="One."), document("b", text=f"It’s mine.\n\nMine too.\n{line}")])
    assert not finding.passed
    assert finding.figures == {"lines": 1, "examples": [f"b: {line}"]}


@pytest.mark.parametrize(
    "line", ["Share.", "Listen.", "Thanks for reading this far; now the point.", "I share this post with Bob.", "Subscribe to nothing."]
)
def test_a_line_of_the_author_is_left_alone(line: str) -> None:
    assert no_interface_lines([document("a", text=line)]).passed
