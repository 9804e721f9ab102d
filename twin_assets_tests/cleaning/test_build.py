"""The dbt project on a real Postgres. One build serves all tests that only look."""

import json
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
from twin_assets_tests.cleaning.posts import add_post, block, clean, empty, paragraph, post_id

pytestmark = [  # Dagster's own calls
    pytest.mark.filterwarnings("ignore:The .__fields__. attribute is deprecated"),
    pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated"),
]

ADA = "ada o'neil"
FOOTER = "I write about bread. Follow along!"
HABIT = "So it goes."
PROSE = "It’s “fine” — isn't it? Naïve; sure… 🙂\nA second line, kept."
SPAM = "Buy now. " * 200


@pytest.fixture(scope="module")
def warehouse(session_database: Database, settings: Settings) -> Iterator[Database]:
    """Two authors, cleaned, with the project's own unit tests and data tests passed."""
    empty(session_database)
    add_post(
        session_database,
        ADA,
        "lanes",
        block("heading", "Why", level=2),
        paragraph(PROSE),
        block("list", "1. one\n2. two (https://example.org)"),
        block("quote", "said another"),
        block("code", "def f():\n\n    return '```'", language="python"),
        block("table", "| a |"),
        block("caption", "A loaf"),
        paragraph("𝗕𝗼𝗹𝗱 and cafe\u0301"),
        paragraph("Share this post"),
        paragraph("The end.\nOriginally published at example.org"),
    )
    for number in range(4):
        add_post(session_database, ADA, f"footer {number}", paragraph(f"Loaf {number} rose."), paragraph(FOOTER))
    for number in range(3):
        add_post(session_database, ADA, f"habit {number}", paragraph(f"Crumb {number}."), paragraph(HABIT), published_at=None)
    add_post(session_database, ADA, "marks", paragraph(PROSE), block("list", "- see https://example.org/a,b!"))
    add_post(session_database, ADA, "private", paragraph("Mail me: ada@oneil.co.uk, or ada@oneil.co.uk."), title="To ada@oneil.co.uk")
    add_post(session_database, ADA, "page", paragraph("Subscribe"), paragraph("Sign in"))
    add_post(session_database, ADA, "none")
    add_post(session_database, ADA, "short", paragraph("Word."))
    add_post(session_database, ADA, "spam", paragraph(SPAM))
    add_post(session_database, ADA, "draft", paragraph("Not yet."), state="draft", reason="It is a draft.")
    add_post(session_database, ADA, "copy", paragraph("The same again."), work=post_id(ADA, "lanes"))
    add_post(session_database, ADA, "gone", paragraph("Not any more."), deleted_at=datetime.now(UTC))
    add_post(session_database, "bob", "only", paragraph("Mine is here."))
    clean(settings, session_database, "--full-refresh")
    yield session_database
    empty(session_database)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", [ADA, "bob"])
        yield instance


def materialize(instance: dg.DagsterInstance, author: str) -> dg.ExecuteInProcessResult:
    """Builds one author as Dagster does."""
    definitions = dg.Definitions(
        assets=[assets.annotations, assets.cleaning],
        asset_checks=[value for value in vars(checks).values() if isinstance(value, dg.AssetChecksDefinition)],
        resources={"platform": PlatformResource()},
        executor=dg.in_process_executor,
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, partition_key=author, raise_on_error=False)


def cleaned(database: Database, author: str = ADA) -> dict[str | None, Document]:
    return {document.title: document for document in load_documents(database, author)}


def dropped(database: Database, author: str = ADA) -> dict[str, tuple[str, str]]:
    with database.begin() as connection:
        rows = connection.execute(
            text(
                "select origin, d.reason, d.detail from cleaning.dropped_documents d join ingest.raw_posts on id = document_id where d.author = :a"
            ),
            {"a": author},
        )
        return {origin: (reason, detail) for origin, reason, detail in rows}


def test_the_voice_is_the_authors_prose_untouched(warehouse: Database) -> None:
    voice = cleaned(warehouse)["lanes"].text_for_voice
    assert voice == f"{PROSE}\n\n1. one\n2. two ([link])\n\n𝗕𝗼𝗹𝗱 and cafe\u0301\n\nThe end."
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
    assert documents["footer 1"].text_for_voice == "Loaf 1 rose."
    assert documents["footer 1"].text_for_rag == "Loaf 1 rose."
    assert documents["habit 1"].text_for_voice == f"Crumb 1.\n\n{HABIT}"


def test_private_things_are_masked_wherever_they_stand(warehouse: Database) -> None:
    private = cleaned(warehouse)["To [email 1]"]
    assert private.text_for_voice == private.text_for_rag == "Mail me: [email 1], or [email 1]."
    with warehouse.begin() as connection:
        columns = connection.execute(
            text("select table_name, column_name from information_schema.columns where table_schema = 'cleaning' and data_type = 'text'")
        ).all()
        for table, column in columns:
            if not table.startswith("stg_"):
                assert not connection.scalar(text(f"select count(*) from cleaning.{table} where {column} like '%oneil.co.uk%'")), (
                    table,
                    column,
                )


def test_every_post_that_is_not_kept_says_why(warehouse: Database) -> None:
    found = dropped(warehouse)
    assert {origin: reason for origin, (reason, _) in found.items()} == {
        "page": "no_text",
        "none": "no_text",
        "short": "too_short",
        "spam": "repetitive",
        "draft": "draft",
        "copy": "copy",
        "gone": "deleted",
    }
    assert found["draft"] == ("draft", "It is a draft.")
    assert found["page"][1] == "All of it is boilerplate or embeds: 2 lines."
    assert found["short"][1] == "It has 1 words; 3 are asked for."
    assert all(detail for _, detail in found.values())


def test_every_removed_block_says_why(warehouse: Database) -> None:
    with warehouse.begin() as connection:
        rows = connection.execute(
            text("select lane, reason, removed_text from cleaning.dropped_blocks where document_id = :id order by position, removed_text"),
            {"id": post_id(ADA, "lanes")},
        ).all()
        footers = connection.scalar(text("select count(*) from cleaning.dropped_blocks where reason = 'repeated'"))
    assert [tuple(row) for row in rows] == [
        ("voice", "not_prose", "Why"),
        ("voice", "url", "https://example.org"),
        ("voice", "not_prose", "said another"),
        ("voice", "not_prose", "def f():\n\n    return '```'"),
        ("voice", "not_prose", "| a |"),
        ("voice", "not_prose", "A loaf"),
        ("both", "interface_line", "Share this post"),
        ("both", "interface_line", "Originally published at example.org"),
    ]
    assert footers == 4


def test_documents_are_in_the_order_of_their_dates(warehouse: Database) -> None:
    order = load_documents(warehouse, ADA)
    assert len(order) == 10
    assert [document.published_at for document in order][:3] == [None] * 3
    assert order[3:] == sorted(order[3:], key=lambda document: document.id)


def test_views_by_kind_and_privileges_of_nobody_else(warehouse: Database) -> None:
    with warehouse.begin() as connection:
        counts = [connection.scalar(text(f"select count(*) from cleaning.{view}")) for view in ("documents", "posts", "articles", "code")]
    assert counts == [11, 11, 0, 0]


def test_the_data_tests_see_poison(warehouse: Database, settings: Settings) -> None:
    poison = {
        "footer 0": "text_for_voice = text_for_voice || E'\\nShare this post'",
        "footer 1": f"text_for_voice = text_for_voice || E'\\n\\n{FOOTER}'",
        "marks": "text_for_voice = replace(text_for_voice, '’', '')",
        "habit 0": "document_id = gen_random_uuid()",
        "habit 1": "kind = 'poem'",
    }
    with warehouse.begin() as connection:
        connection.execute(text("create table public.clean as table cleaning.cleaned_documents"))
        for title, change in poison.items():
            connection.execute(text(f"update cleaning.cleaned_documents set {change} where title = :title"), {"title": title})
    with pytest.raises(TwinError, match="dbt test failed") as failure:
        project.run_dbt(settings, ["test", "--select", "cleaned_documents", "dropped_documents"], warehouse.url)
    with warehouse.begin() as connection:
        connection.execute(text("truncate cleaning.cleaned_documents"))
        connection.execute(text("insert into cleaning.cleaned_documents table public.clean"))
        connection.execute(text("drop table public.clean"))
    failed = dict(
        re.findall(r"Failure in test (\w+?)(?:_source_ingest_raw_posts_|__post\w+)? .*?\n.*?Got (\d+) result", str(failure.value))
    )
    assert failed == {
        "accepted_values_cleaned_documents_kind": "1",
        "every_post_is_accounted_for": "2",
        "no_boilerplate_survives": "2",
        "punctuation_is_kept": "1",
        "relationships_cleaned_documents_document_id__id_": "1",
    }


def test_a_lost_text_is_seen(warehouse: Database, settings: Settings) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            text("update cleaning.int_documents set reason = 'no_text' where document_id = :id"), {"id": post_id(ADA, "short")}
        )
    with pytest.raises(TwinError, match="Failure in test no_text_is_dropped_as_none"):
        project.run_dbt(settings, ["test", "--select", "no_text_is_dropped_as_none"], warehouse.url)
    with warehouse.begin() as connection:
        connection.execute(
            text("update cleaning.int_documents set reason = 'too_short' where document_id = :id"), {"id": post_id(ADA, "short")}
        )


def test_an_author_is_built_alone_and_a_deleted_post_goes(warehouse: Database, instance: dg.DagsterInstance) -> None:
    before, version = cleaned(warehouse), summarise(warehouse, ADA).version
    with warehouse.begin() as connection:
        connection.execute(text("update ingest.raw_posts set deleted_at = now() where author = 'bob'"))
    late = add_post(warehouse, ADA, "late", paragraph("Late is better."))
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
    result = materialize(instance, ADA)
    assert result.success
    assert cleaned(warehouse) == before
    event = instance.get_latest_materialization_event(assets.CLEANED_DOCUMENTS)
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.tags is not None
    assert event.asset_materialization.tags["dagster/data_version"] == version
    metadata = event.asset_materialization.metadata
    assert metadata["documents"].value == metadata["dagster/partition_row_count"].value == len(before)
    assert "dagster/column_lineage" in metadata
    builds = [
        event.step_key for event in result.all_events if event.is_step_success and not (event.step_key or "").startswith("cleaning__")
    ]
    assert builds == ["cleaning"]  # dbt starts once
    assert {
        "punctuation_is_kept",
        "source_unique_ingest_raw_posts_id",
        "every_post_is_accounted_for",
        "every_post_accounted_for",
        "apostrophes_survive",
        "paragraphs_survive",
        "own_words_only",
        "no_interface_lines",
        "every_post_annotated",
    } <= {check.check_name for check in result.get_asset_check_evaluations()}


def test_what_an_asset_says_of_itself() -> None:
    spec = assets.cleaning.specs_by_key[assets.CLEANED_DOCUMENTS]
    assert (spec.group_name, spec.owners, spec.tags["cost"], spec.kinds) == ("cleaning", ["team:twin"], "cpu", {"dbt", "postgres"})
    staging = assets.cleaning.specs_by_key[dg.AssetKey(["cleaning", "stg_posts"])]
    families = {dg.AssetKey(["cleaning", f"stg_{family}"]) for family in ("social", "publications", "code", "files")}
    assert {dependency.asset_key for dependency in staging.deps} == {*families, assets.ANNOTATIONS}
    assert {check.asset_key.to_user_string() for check in assets.cleaning.check_specs if not check.blocking} == {"ingest/raw_posts"}


def test_every_model_and_column_is_described() -> None:
    for spec in assets.cleaning.specs:
        assert len((spec.description or "").split("\n")[0]) > 15, spec.key
        schema = spec.metadata["dagster/column_schema"]
        assert all(column.description for column in schema.columns), spec.key


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


def test_the_documentation_is_made_without_a_network(warehouse: Database, settings: Settings) -> None:
    project.run_dbt(settings, ["docs", "generate", "--static"], warehouse.url)
    catalog = json.loads((project.target(settings) / "catalog.json").read_text())
    columns = catalog["nodes"]["model.cleaning.cleaned_documents"]["columns"]
    assert columns["text_for_voice"]["type"] == "text"
    assert (project.target(settings) / "static_index.html").stat().st_size > 100_000


@pytest.mark.parametrize(("read", "fails"), [("now()", False), ("now() - interval '8 days'", True)])
def test_sources_that_were_not_read_for_a_week_are_stale(warehouse: Database, settings: Settings, read: str, fails: bool) -> None:
    statement = (
        f"insert into ingest.reads (author, source, started_at, finished_at, outcome, detail) values ('ada', 'x', now(), {read}, 'ok', '')"
    )
    with warehouse.begin() as connection:
        connection.execute(text("truncate ingest.reads"))
        connection.execute(text(statement))
    if fails:
        with pytest.raises(TwinError, match=r"ERROR STALE freshness of ingest\.reads"):
            project.run_dbt(settings, ["source", "freshness"], warehouse.url)
    else:
        assert "PASS freshness of ingest.reads" in project.run_dbt(settings, ["source", "freshness"], warehouse.url)
    with warehouse.begin() as connection:
        connection.execute(text("truncate ingest.reads"))
