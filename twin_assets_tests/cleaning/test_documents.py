from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.cleaning.documents import Document, split
from twin_assets_tests.cleaning.posts import DAY, document

DATES = st.none() | st.integers(0, 30).map(lambda day: DAY + timedelta(days=day))
DOCUMENTS = st.lists(
    st.tuples(st.integers(0, 10_000), DATES, st.integers(0, 120), st.sampled_from(["post", "article", "note", "comment", "code"])),
    unique_by=lambda row: row[0],
).map(lambda rows: [document(str(key), date, words, kind) for key, date, words, kind in rows])


def days(count: int) -> list[Document]:
    return [document(f"{day}", DAY + timedelta(days=day)) for day in range(count)]


def test_the_newest_share_is_held_out() -> None:
    sides = split(days(10), 0.2)
    assert [document.title for document in sides.held_out] == ["8", "9"]
    assert [document.title for document in sides.train] == list("01234567")


@pytest.mark.parametrize(("count", "held_out"), [(4, 0), (5, 1), (9, 1), (10, 1), (20, 2)])
def test_at_least_one_of_five_is_held_out(count: int, held_out: int) -> None:
    assert len(split(days(count), 0.1).held_out) == held_out


def test_undated_short_and_other_kinds_are_trained_on() -> None:
    newest = DAY + timedelta(days=99)
    others = [document("undated", None), document("short", newest, 39), document("comment", newest, kind="comment")]
    sides = split([*others, *days(5)], 0.2)
    assert [document.title for document in sides.held_out] == ["4"]
    assert sides.train[0].title == "undated"


def test_where_nothing_is_dated_some_are_held_out_all_the_same() -> None:
    sides = split([document(str(key), None) for key in range(10)], 0.2)
    assert len(sides.held_out) == 2


@given(DOCUMENTS, st.floats(0.01, 0.99))
def test_every_document_is_on_one_side_whatever_the_order(documents: list[Document], share: float) -> None:
    sides = split(documents, share)
    assert sorted(_ids(sides.train) + _ids(sides.held_out)) == sorted(_ids(documents))
    assert split(documents[::-1], share) == sides


@given(DOCUMENTS, st.floats(0.01, 0.99))
def test_nothing_held_out_is_older_than_what_could_have_been(documents: list[Document], share: float) -> None:
    sides = split(documents, share)
    trained = [_date(document) for document in sides.train if document.kind in ("post", "article", "note") and document.voice_words >= 40]
    if trained and sides.held_out:
        assert max(trained) <= min(_date(document) for document in sides.held_out)


def _ids(documents: list[Document]) -> list[UUID]:
    return [document.id for document in documents]


def _date(document: Document) -> datetime:
    return document.published_at or datetime.min.replace(tzinfo=DAY.tzinfo)
