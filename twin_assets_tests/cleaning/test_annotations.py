"""The table of annotations follows the posts, and nothing is read or written where nothing changed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import event, text, update

from twin_assets.cleaning import annotations as module
from twin_assets.cleaning import assets
from twin_assets.cleaning.annotate import annotator
from twin_assets.cleaning.annotations import annotation_figures, sync_annotations
from twin_assets.resources import PlatformResource
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts
from twin_assets_tests.cleaning.posts import add_post, paragraph, post_id

REGIONS = ("GB", "US")
ENGLISH = "I baked a loaf on Tuesday and it was not good, because the water was cold and I had no patience with it."


def rows(database: Database) -> dict[str, dict[str, Any]]:
    """The annotations by the title of their post, with the transaction that wrote them."""
    query = "select p.title, a.*, a.xmin::text as written from cleaning.annotations a join ingest.raw_posts p on p.id = a.document_id"
    with database.begin() as connection:
        return {row["title"]: dict(row) for row in connection.execute(text(query)).mappings()}


def change(database: Database, key: str, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(update(raw_posts).where(raw_posts.c.id == post_id("ada", key)).values(**values))


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """What is asked of the database."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.lower().split()))

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def test_kept_posts_are_looked_at_and_others_are_not(database: Database) -> None:
    add_post(database, "ada", "loaf", paragraph(f"{ENGLISH} Write to ada@engine.org."))
    change(database, "loaf", content_hash="of the loaf")
    add_post(database, "ada", "draft", paragraph(ENGLISH), state="draft")
    add_post(database, "ada", "gone", paragraph(ENGLISH), deleted_at=datetime.now(UTC))
    add_post(database, "bob", "his", paragraph(ENGLISH))
    report = sync_annotations(database, "ada", REGIONS)
    assert (report.looked_at, report.unchanged, report.deleted) == (1, 0, 0)
    (row,) = rows(database).values()
    assert row["document_id"] == post_id("ada", "loaf")
    assert (row["author"], row["content_hash"], row["annotator"]) == ("ada", "of the loaf", annotator(REGIONS))
    assert (row["language"], row["repetition"], row["machine_markers"]) == ("en", 0, 0)
    start = len(ENGLISH) + len(" Write to ")
    assert row["masks"] == [{"block": 1, "start": start, "end": start + 14, "placeholder": "[email 1]"}]


def test_the_masks_count_as_sql_does(database: Database) -> None:
    before = "🙂 是 e\u0301 naïve "
    add_post(database, "ada", "loaf", paragraph(f"{before}ada@engine.org!"))
    sync_annotations(database, "ada", REGIONS)
    query = """
        select substr(p.blocks -> ((m ->> 'block')::int - 1) ->> 'text', (m ->> 'start')::int + 1, (m ->> 'end')::int - (m ->> 'start')::int)
        from cleaning.annotations a join ingest.raw_posts p on p.id = a.document_id, jsonb_array_elements(a.masks) m
    """
    with database.begin() as connection:
        assert connection.scalars(text(query)).all() == ["ada@engine.org"]


def test_where_nothing_changed_no_text_is_read_and_nothing_written(database: Database, statements: list[str]) -> None:
    for number in range(5):
        add_post(database, "ada", f"loaf {number}", paragraph(ENGLISH))
    first, before = sync_annotations(database, "ada", REGIONS), rows(database)
    statements.clear()
    second = sync_annotations(database, "ada", REGIONS)
    assert (second.looked_at, second.unchanged, second.version) == (0, 5, first.version)
    assert not any("blocks" in statement or statement.startswith(("insert", "update")) for statement in statements)
    assert rows(database) == before


def test_only_what_changed_is_looked_at_again(database: Database) -> None:
    for key in ("one", "two", "three"):
        add_post(database, "ada", key, paragraph(ENGLISH))
    first, before = sync_annotations(database, "ada", REGIONS), rows(database)
    change(database, "two", blocks=[paragraph(f"{ENGLISH} +1 650 253 0000")], content_hash="two, edited")
    report, after = sync_annotations(database, "ada", REGIONS), rows(database)
    assert (report.looked_at, report.unchanged) == (1, 2)
    assert report.version != first.version
    assert [key for key in after if after[key] != before[key]] == ["two"]
    assert after["two"]["content_hash"] == "two, edited"
    assert [mask["placeholder"] for mask in after["two"]["masks"]] == ["[phone 1]"]


def test_another_version_looks_at_everything_again_and_says_the_same(database: Database) -> None:
    for key in ("one", "two"):
        add_post(database, "ada", key, paragraph(ENGLISH))
    first = sync_annotations(database, "ada", REGIONS)
    second = sync_annotations(database, "ada", ("DE",))
    assert (second.looked_at, second.version) == (2, first.version)


@pytest.mark.parametrize("values", [{"deleted_at": datetime(2024, 5, 2, tzinfo=UTC)}, {"state": "draft"}])
def test_annotations_of_what_is_no_longer_kept_go(database: Database, values: dict[str, Any]) -> None:
    for key in ("one", "two"):
        add_post(database, "ada", key, paragraph(ENGLISH))
    add_post(database, "bob", "his", paragraph(ENGLISH))
    sync_annotations(database, "bob", REGIONS)
    first = sync_annotations(database, "ada", REGIONS)
    change(database, "one", **values)
    report = sync_annotations(database, "ada", REGIONS)
    assert (report.looked_at, report.unchanged, report.deleted) == (0, 1, 1)
    assert report.version != first.version
    assert set(rows(database)) == {"two", "his"}


def test_a_deleted_row_takes_its_annotation_along(database: Database) -> None:
    add_post(database, "ada", "one", paragraph(ENGLISH))
    sync_annotations(database, "ada", REGIONS)
    with database.begin() as connection:
        connection.execute(text("delete from ingest.raw_posts"))
    assert rows(database) == {}


def test_a_killed_run_goes_on_where_it_stopped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        add_post(database, "ada", f"loaf {number}", paragraph(ENGLISH))
    annotate, calls = module.annotate, []

    def killed(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return annotate(*arguments)

    monkeypatch.setattr(module, "annotate", killed)
    with pytest.raises(KeyboardInterrupt):
        sync_annotations(database, "ada", REGIONS, batch=2)
    monkeypatch.setattr(module, "annotate", annotate)
    assert len(rows(database)) == 4
    assert sync_annotations(database, "ada", REGIONS, batch=2).looked_at == 3
    assert len(rows(database)) == 7


def test_a_long_run_says_how_far_it_is(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0)
    for number in range(5):
        add_post(database, "ada", f"loaf {number}", paragraph(ENGLISH))
    said: list[str] = []
    sync_annotations(database, "ada", REGIONS, said.append, batch=2)
    assert [line.split(",")[0] for line in said] == ["Looked at 2 of 5 posts", "Looked at 4 of 5 posts"]


def test_an_author_without_posts(database: Database) -> None:
    report = sync_annotations(database, "ada", REGIONS)
    assert (report.looked_at, report.unchanged, report.deleted, report.version) == (0, 0, 0, "none")


def test_the_figures_name_numbers_and_no_private_thing(database: Database) -> None:
    secret = "f3Za91kQ0"
    code = {"type": "code", "text": f"api_key = '{secret}'\nmail('ada@engine.org')"}
    add_post(database, "ada", "one", paragraph(ENGLISH), code, title="ada@engine.org | bread")
    add_post(database, "ada", "two", paragraph(f"{ENGLISH} As an AI language model, I am [Your Name]."), title="Ask bob@mill.co")
    add_post(database, "ada", "three", paragraph("Thanks!"))
    sync_annotations(database, "ada", REGIONS)
    figures = annotation_figures(database, "ada")
    assert figures.masked == {"masked_emails": 3, "masked_phones": 0, "masked_secrets": 1}
    assert figures.languages.splitlines()[2:] == ["| en | 2 |", "| too short to tell | 1 |"]
    assert figures.flagged == 1
    assert "Ask [email 1] | 2 |" in figures.flagged_posts
    assert not any(private in repr(figures) for private in (secret, "ada@", "bob@"))


@pytest.mark.filterwarnings("ignore:The .__fields__. attribute is deprecated")  # Dagster's own calls
@pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated")
def test_the_asset_says_what_it_did(database: Database) -> None:
    add_post(database, "ada", "one", paragraph(f"{ENGLISH} ada@engine.org"))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", ["ada"])
        definitions = dg.Definitions(assets=[assets.annotations], resources={"platform": PlatformResource()})
        job = definitions.resolve_implicit_global_asset_job_def()
        runs = [job.execute_in_process(instance=instance, partition_key="ada") for _ in range(2)]
    (first,), (second,) = (run.asset_materializations_for_node("cleaning__annotations") for run in runs)
    assert first.asset_key == dg.AssetKey(["cleaning", "annotations"])
    assert [first.metadata[name].value for name in ("looked_at", "unchanged", "masked_emails", "flagged")] == [1, 0, 1, 0]
    assert [second.metadata[name].value for name in ("looked_at", "unchanged", "masked_emails", "flagged")] == [0, 1, 1, 0]
    assert first.tags and second.tags
    assert first.tags["dagster/data_version"] == second.tags["dagster/data_version"]
