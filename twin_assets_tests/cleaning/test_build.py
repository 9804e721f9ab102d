"""The dbt project on a real Postgres. One build serves all tests that only look."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import text

from twin_assets.cleaning import assets, checks, project, quality
from twin_assets.cleaning.documents import Document, load_documents, summarise
from twin_assets.resources import PlatformResource
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets_tests.cleaning.posts import add_post, paragraph

pytestmark = [  # Dagster's own calls
    pytest.mark.filterwarnings("ignore:The .__fields__. attribute is deprecated"),
    pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated"),
]

FOOTER = "I write about bread. Follow along!"
HABIT = "So it goes."
PROSE = "It’s “fine” — isn't it? Naïve; sure… 🙂\nA second line, kept."


@pytest.fixture(scope="module")
def warehouse(session_database: Database, settings: Settings) -> Iterator[Database]:
    """Two authors, cleaned, with the project's own unit tests and data tests passed."""
    empty(session_database)
    author = "ada o'neil"
    add_post(
        session_database,
        author,
        "lanes",
        {"type": "heading", "text": "Why", "level": 2},
        paragraph(PROSE),
        {"type": "list", "text": "1. one\n2. two (https://example.org)"},
        {"type": "quote", "text": "said another"},
        {"type": "code", "text": "def f():\n\n    return '```'", "language": "python"},
        {"type": "table", "text": "| a |"},
        {"type": "caption", "text": "A loaf"},
        paragraph("𝗕𝗼𝗹𝗱 and cafe\u0301"),
        paragraph("Share this post"),
        paragraph("The end.\nOriginally published at example.org"),
    )
    for number in range(4):
        add_post(session_database, author, f"footer {number}", paragraph(f"Loaf {number}."), paragraph(FOOTER))
    for number in range(3):
        add_post(session_database, author, f"habit {number}", paragraph(f"Crumb {number}."), paragraph(HABIT), published_at=None)
    add_post(session_database, author, "marks", paragraph(PROSE), {"type": "list", "text": "- see https://example.org/a,b!"})
    add_post(session_database, author, "page", paragraph("Subscribe"), paragraph("Sign in"))
    add_post(session_database, author, "draft", paragraph("Not yet."), state="draft")
    add_post(session_database, author, "gone", paragraph("Not any more."), deleted_at=datetime.now(UTC))
    add_post(session_database, "bob", "only", paragraph("Mine."))
    project.run_dbt(settings, ["build"], session_database.url)
    yield session_database
    empty(session_database)


def empty(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("truncate ingest.raw_posts"))
        for table in ("int_blocks", "cleaned_documents"):
            if connection.scalar(text("select to_regclass(:name)"), {"name": f"cleaning.{table}"}):
                connection.execute(text(f"truncate cleaning.{table}"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", ["ada o'neil", "bob"])
        yield instance


def materialize(instance: dg.DagsterInstance, author: str) -> dg.ExecuteInProcessResult:
    """Builds one author as Dagster does."""
    definitions = dg.Definitions(
        assets=[assets.cleaning],
        asset_checks=[checks.documents_present, checks.no_interface_lines],
        resources={"platform": PlatformResource()},
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, partition_key=author, raise_on_error=False)


def cleaned(database: Database, author: str = "ada o'neil") -> dict[str | None, Document]:
    return {document.title: document for document in load_documents(database, author)}


def test_the_voice_is_the_authors_prose_untouched(warehouse: Database) -> None:
    voice = cleaned(warehouse)["lanes"].text_for_voice
    assert voice == f"{PROSE}\n\n1. one\n2. two\n\n𝗕𝗼𝗹𝗱 and cafe\u0301\n\nThe end."
    assert cleaned(warehouse)["lanes"].voice_words == len(voice.split())


def test_retrieval_gets_everything_worth_finding(warehouse: Database) -> None:
    assert cleaned(warehouse)["lanes"].text_for_rag.split("\n\n") == [
        "## Why",
        PROSE,
        "1. one\n2. two (https://example.org)",
        "> said another",
        "````python\ndef f():",
        "    return '```'\n````",
        "| a |",
        "A loaf",
        "Bold and caf\u00e9",
        "The end.",
    ]


def test_a_paragraph_of_many_documents_is_boilerplate_and_a_habit_of_few_is_not(warehouse: Database) -> None:
    documents = cleaned(warehouse)
    assert documents["footer 1"].text_for_voice == "Loaf 1."
    assert documents["footer 1"].text_for_rag == "Loaf 1."
    assert documents["habit 1"].text_for_voice == f"Crumb 1.\n\n{HABIT}"


def test_only_kept_posts_with_text_are_there(warehouse: Database) -> None:
    documents = cleaned(warehouse)
    assert len(documents) == 9
    assert not {"page", "draft", "gone"} & set(documents)
    order = list(documents.values())
    assert [document.published_at for document in order][:3] == [None] * 3
    assert order[3:] == sorted(order[3:], key=lambda document: document.id)


def test_the_data_tests_see_poison(warehouse: Database, settings: Settings) -> None:
    poison = {
        "footer 0": "text_for_voice = text_for_voice || E'\\nShare this post'",
        "footer 1": f"text_for_voice = text_for_voice || E'\\n\\n{HABIT}'",
        "footer 2": f"text_for_voice = text_for_voice || E'\\n\\n{HABIT}'",  # the fourth of ten, without the one below
        "marks": "text_for_voice = replace(text_for_voice, '’', '')",
        "habit 0": "document_id = gen_random_uuid()",
        "habit 1": "kind = 'poem'",
    }
    with warehouse.begin() as connection:
        connection.execute(text("create table public.clean as table cleaning.cleaned_documents"))
        for title, change in poison.items():
            connection.execute(text(f"update cleaning.cleaned_documents set {change} where title = :title"), {"title": title})
    with pytest.raises(TwinError, match="dbt test failed") as failure:
        project.run_dbt(settings, ["test", "--select", "cleaned_documents"], warehouse.url)
    with warehouse.begin() as connection:
        connection.execute(text("truncate cleaning.cleaned_documents"))
        connection.execute(text("insert into cleaning.cleaned_documents table public.clean"))
        connection.execute(text("drop table public.clean"))
    failed = dict(re.findall(r"Failure in test (\w+?)(?:_ref_stg_raw_posts_|__post\w+)? .*?\n.*?Got (\d+) result", str(failure.value)))
    assert failed == {
        "accepted_values_cleaned_documents_kind": "1",
        "no_boilerplate_survives": "2",
        "no_post_is_lost": "1",
        "punctuation_is_kept": "1",
        "relationships_cleaned_documents_document_id__document_id_": "1",
    }


def test_an_author_is_built_alone_and_a_deleted_post_goes(warehouse: Database, instance: dg.DagsterInstance) -> None:
    before, version = cleaned(warehouse), summarise(warehouse, "ada o'neil").version
    with warehouse.begin() as connection:
        connection.execute(text("update ingest.raw_posts set deleted_at = now() where author = 'bob'"))
    late = add_post(warehouse, "ada o'neil", "late", paragraph("Late."))
    result = materialize(instance, "bob")
    assert load_documents(warehouse, "bob") == []
    assert cleaned(warehouse) == before  # the new post of the other author is not looked at
    assert [(check.check_name, check.description) for check in result.get_asset_check_evaluations() if not check.passed] == [
        ("documents_present", quality.documents_present("bob", []).description)
    ]
    assert not result.success

    with warehouse.begin() as connection:
        connection.execute(text("delete from ingest.raw_posts where id = :id"), {"id": late})
        connection.execute(text("update ingest.raw_posts set updated_at = now()"))
    result = materialize(instance, "ada o'neil")
    assert result.success
    assert cleaned(warehouse) == before
    event = instance.get_latest_materialization_event(assets.CLEANED_DOCUMENTS)
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.tags is not None
    assert event.asset_materialization.tags["dagster/data_version"] == version
    assert event.asset_materialization.metadata["documents"].value == len(before)
    assert {"punctuation_is_kept", "source_not_null_ingest_raw_posts_blocks"} <= {
        check.check_name for check in result.get_asset_check_evaluations()
    }


def test_what_an_asset_says_of_itself() -> None:
    spec = assets.cleaning.specs_by_key[assets.CLEANED_DOCUMENTS]
    assert (spec.group_name, spec.owners, spec.tags["cost"], spec.kinds) == ("cleaning", ["team:twin"], "cpu", {"dbt", "postgres"})
    staging = assets.cleaning.specs_by_key[dg.AssetKey(["cleaning", "stg_raw_posts"])]
    assert [dependency.asset_key for dependency in staging.deps] == [dg.AssetKey(["ingest", "raw_posts"])]
    assert all(check.blocking for check in assets.cleaning.check_specs)


def test_before_the_first_build_the_error_says_what_to_run(database_without_mart: Database) -> None:
    with pytest.raises(TwinError, match="twin run ada"):
        load_documents(database_without_mart, "ada")


@pytest.fixture
def database_without_mart(session_database: Database) -> Iterator[Database]:
    exists = text("select to_regclass('cleaning.cleaned_documents')")
    with session_database.begin() as connection:
        existed = connection.scalar(exists) is not None
        if existed:
            connection.execute(text("alter table cleaning.cleaned_documents rename to set_aside"))
    yield session_database
    if existed:
        with session_database.begin() as connection:
            connection.execute(text("alter table cleaning.set_aside rename to cleaned_documents"))
