from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.cleaning.documents import Document
from twin_assets.features.questions import make_questions
from twin_assets_tests.features.documents import document

BRINE = """Every autumn the cellar smells of vinegar because neighbours bring cucumbers by the bucket.

## Choosing the right vessel

> Glass is for cowards, somebody told me.

```python
# This comment explains nothing about stoneware crocks whatsoever today
vessel_size = 3
```

- Stoneware crocks keep brineTemp steady through September afternoons better than plastic.

## Notes

Short one. Wild yeast sometimes forms a harmless whitish film across undisturbed surfaces."""


def pickles(text: str = BRINE, key: int = 1, title: str | None = "On pickles", lang: str | None = "en") -> Document:
    return replace(document(text, title=title, key=UUID(int=key)), language=lang)


def test_questions_come_from_headings_and_first_sentences_and_know_where_the_answer_stands() -> None:
    questions = make_questions([pickles()])
    found = {(question.kind, BRINE[question.starts : question.ends].split("\n")[0][:24]) for question in questions}
    assert found == {
        ("sentence", "Every autumn the cellar "),
        ("keywords", "Every autumn the cellar "),
        ("heading", "## Choosing the right ve"),
        ("sentence", "Stoneware crocks keep br"),
        ("keywords", "Stoneware crocks keep br"),
        ("heading", "## Notes"),
        ("sentence", "Wild yeast sometimes for"),
        ("keywords", "Wild yeast sometimes for"),
    }
    by_kind = {(question.kind, question.starts): question for question in questions}
    vessel, notes = (by_kind["heading", BRINE.index(heading)] for heading in ("## Choosing", "## Notes"))
    assert vessel.text == "What do I say about Choosing the right vessel?"
    assert notes.text == "What do I say about Notes (On pickles)?"
    assert (vessel.ends, notes.ends) == (notes.starts, len(BRINE))
    assert {question.language for question in questions} == {"en"}


def test_a_question_does_not_hold_the_rarest_words_of_its_answer() -> None:
    sentence, keywords = (
        next(q.text for q in make_questions([pickles()]) if q.kind == kind and BRINE[q.starts :].startswith("Stoneware"))
        for kind in ("sentence", "keywords")
    )
    assert sentence == "crocks keep steady through September better than plastic."  # no brineTemp, stoneware, afternoons
    assert keywords == "stoneware through plastic"


def test_where_the_first_sentence_makes_no_question_the_next_one_does() -> None:
    post = "It was so hot on the bus.\nAnd then it was not at all.\n\nYesterday somebody painted every harbour railing bright yellow again."
    assert {(question.kind, post[question.starts : question.ends]) for question in make_questions([pickles(post)])} == {
        (kind, "Yesterday somebody painted every harbour railing bright yellow again.") for kind in ("sentence", "keywords")
    }


def test_the_same_document_gives_the_same_questions_whatever_stands_beside_it() -> None:
    other = pickles("The night express leaves Vienna quietly while travellers dream under woollen blankets.", key=2, title="Trains")
    alone, together = make_questions([pickles()]), make_questions([other, pickles()])
    assert set(alone) < set(together)
    assert together == make_questions([pickles(), other])


def test_an_edit_changes_only_the_questions_of_what_was_edited() -> None:
    before = {question.id for question in make_questions([pickles()])}
    after = {question.id for question in make_questions([pickles(BRINE.replace("Wild yeast", "Tame fungus"))])}
    assert len(before - after) == len(after - before) == 1


def test_every_document_is_asked_about_before_any_is_asked_about_twice() -> None:
    documents = [pickles(BRINE.replace("autumn", f"autumn{chr(97 + n)}x"), key=n + 1, title=f"Essay {n}") for n in range(12)]
    texts = [document.text_for_rag for document in documents]
    assert len(set(texts)) == 12
    questions = make_questions([replace(d, text_for_rag=_varied(d.text_for_rag, n)) for n, d in enumerate(documents)], limit=12)
    assert len({question.document_id for question in questions}) == 12


def _varied(text: str, n: int) -> str:
    letters = "".join(chr(97 + (n * 7 + i) % 26) for i in range(6))
    return "\n".join(line + f" {letters}" if line and not line.startswith("```") else line for line in text.split("\n"))


def test_what_two_documents_would_answer_is_not_asked() -> None:
    assert make_questions([pickles(title=None), pickles(key=2, title=None)]) == []
    with_titles = make_questions([pickles(title="One"), pickles(key=2, title="Two")])
    assert {question.kind for question in with_titles} == {"heading"}  # "Notes" is told apart by the title


def test_other_languages_are_asked_in_their_own() -> None:
    german = "## Das richtige Gefäß wählen\n\nSteinzeug hält die Temperatur gleichmäßig, besonders während langer Septembernachmittage."
    asked = {question.kind: question for question in make_questions([pickles(german, lang="de")])}
    assert asked["heading"].text == "Was schreibe ich über Das richtige Gefäß wählen?"
    assert "Septembernachmittage" not in asked["sentence"].text
    finnish = make_questions(
        [pickles("## Oikean astian valinta\n\nKivitavara pitää lämpötilan tasaisena pitkien iltapäivien läpi.", lang="fi")]
    )
    assert "Oikean astian valinta" in {question.text for question in finnish}
    japanese = make_questions([pickles("漬物の塩水は野菜から水分を引き出して長く保存するための工夫です。", lang="ja")])
    assert {question.kind for question in japanese} == {"sentence", "keywords"}


@pytest.mark.parametrize(
    "text", ["", " \n\n ", "```python\nprint('this is only code and nothing else at all')\n```", "😀😀😀 😀", "Too short."]
)
def test_what_says_nothing_is_not_asked_about(text: str) -> None:
    assert make_questions([pickles(text)]) == []


def test_a_paragraph_of_two_megabytes_is_asked_about() -> None:
    assert make_questions([pickles("word " * 400_000)]) == []
    assert len(make_questions([pickles("Stoneware crocks keep brine steady through September afternoons. " * 30_000)])) == 2


@given(st.text(alphabet=st.sampled_from("abcdef ABC\n#>`.!?|-1漢字äß"), max_size=400))
def test_any_text_gives_questions_whose_answers_lie_inside_of_it(text: str) -> None:
    for question in make_questions([pickles(text)]):
        assert 0 <= question.starts < question.ends <= len(text)
        assert question.text.strip()
