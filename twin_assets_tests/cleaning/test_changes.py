"""What changes flows through, what does not change is not touched, and in the end all is as if it had been built at once."""

from random import Random

import pytest
from sqlalchemy import text

from twin_assets.cleaning import project
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets_tests.cleaning.posts import add_post, block, clean, empty, paragraph, post_id

MARTS = ("cleaned_documents", "dropped_documents", "dropped_blocks", "int_repeated_blocks")
FOOTER = "I write about bread. Follow along!"
AS_THE_ASSET = {"author": "ada", "changed_only": True}


@pytest.fixture
def warehouse(session_database: Database) -> Database:
    empty(session_database)
    return session_database


def rows(database: Database, table: str) -> list[tuple]:
    with database.begin() as connection:
        return sorted(tuple(row) for row in connection.execute(text(f"select t::text from cleaning.{table} t")))


def marts(database: Database) -> dict[str, list[tuple]]:
    return {table: rows(database, table) for table in MARTS}


def writes(database: Database) -> dict[str, list[tuple]]:
    """Where each row lies and which transaction wrote it: another one after any write."""
    with database.begin() as connection:
        tables = ("int_posts", "int_blocks", "int_repeated_blocks", "cleaned_documents", "dropped_documents")
        return {
            name: sorted(map(tuple, connection.execute(text(f"select ctid::text, xmin::text from cleaning.{name}")))) for name in tables
        }


def voice(database: Database, key: str, author: str = "ada") -> str | None:
    with database.begin() as connection:
        found = text("select text_for_voice from cleaning.cleaned_documents where document_id = :id")
        return connection.scalar(found, {"id": post_id(author, key)})


def test_an_edit_replaces_a_tombstone_deletes_and_nothing_else_is_written(warehouse: Database, settings: Settings) -> None:
    for name in ("one", "two", "three"):
        add_post(warehouse, "ada", name, paragraph(f"The {name} of them."))
    add_post(warehouse, "bob", "his", paragraph("Bob was here."))
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    before = writes(warehouse)
    clean(settings, warehouse, **AS_THE_ASSET)
    assert writes(warehouse) == before

    add_post(warehouse, "ada", "one", paragraph("The first of them."))
    add_post(warehouse, "ada", "two", paragraph("The two of them."), deleted_at="2024-06-01T00:00:00Z")
    add_post(warehouse, "bob", "his", paragraph("Bob was there."))
    clean(settings, warehouse, **AS_THE_ASSET)
    assert [voice(warehouse, name) for name in ("one", "two", "three")] == ["The first of them.", None, "The three of them."]
    assert voice(warehouse, "his", "bob") == "Bob was here."  # another author's build
    after = writes(warehouse)
    assert len(set(after["cleaned_documents"]) & set(before["cleaned_documents"])) == 2
    with warehouse.begin() as connection:
        connection.execute(text("delete from ingest.raw_posts where id = :id"), {"id": post_id("ada", "three")})
    clean(settings, warehouse, **AS_THE_ASSET)
    assert voice(warehouse, "three") is None
    assert not [row for table in MARTS for row in rows(warehouse, table) if str(post_id("ada", "three")) in str(row)]


def test_what_becomes_boilerplate_goes_from_old_documents_too_and_comes_back(warehouse: Database, settings: Settings) -> None:
    for number in range(3):
        add_post(warehouse, "ada", f"{number}", paragraph(f"Loaf {number} rose."), paragraph(FOOTER))
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    assert voice(warehouse, "0") == f"Loaf 0 rose.\n\n{FOOTER}"
    add_post(warehouse, "ada", "3", paragraph("Loaf 3 rose."), paragraph(FOOTER))
    clean(settings, warehouse, **AS_THE_ASSET)
    assert [voice(warehouse, f"{number}") for number in (0, 3)] == ["Loaf 0 rose.", "Loaf 3 rose."]
    add_post(warehouse, "ada", "3", paragraph("Loaf 3 rose."))
    clean(settings, warehouse, **AS_THE_ASSET)
    assert [voice(warehouse, f"{number}") for number in (0, 3)] == [f"Loaf 0 rose.\n\n{FOOTER}", "Loaf 3 rose."]


def test_a_build_that_was_killed_or_failed_is_made_up_for(warehouse: Database, settings: Settings) -> None:
    add_post(warehouse, "ada", "one", paragraph("The one of them."))
    add_post(warehouse, "ada", "two", paragraph("The two of them."))
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    add_post(warehouse, "ada", "one", paragraph("The first of them."))
    clean(settings, warehouse, "--select", "stg_posts", "int_posts", "int_blocks", **AS_THE_ASSET)  # as far as a killed build came
    assert voice(warehouse, "one") == "The one of them."
    for marts in (["cleaned_documents"], ["cleaned_documents", "dropped_documents"]):  # single models: nothing may be lost by them
        clean(settings, warehouse, "--select", *marts, **AS_THE_ASSET)
    assert [voice(warehouse, name) for name in ("one", "two")] == ["The one of them.", "The two of them."]
    clean(settings, warehouse, **AS_THE_ASSET)
    assert voice(warehouse, "one") == "The first of them."

    # A test that fails leaves the change pending, so that it is not forgotten.
    add_post(warehouse, "ada", "one", paragraph("The last of them."), kind="poem")
    for _ in range(2):
        with pytest.raises(TwinError, match="accepted_values"):
            clean(settings, warehouse, **AS_THE_ASSET)
    add_post(warehouse, "ada", "one", paragraph("The last of them."))
    clean(settings, warehouse, **AS_THE_ASSET)
    assert voice(warehouse, "one") == "The last of them."


def test_what_is_edited_while_it_is_cleaned_waits_for_the_next_build(warehouse: Database, settings: Settings) -> None:
    add_post(warehouse, "ada", "one", paragraph("The one of them."))
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    add_post(warehouse, "ada", "one", paragraph("The first of them."))
    clean(settings, warehouse, "--select", "+int_posts")
    add_post(warehouse, "ada", "one", paragraph("Write to me: ada@oneil.co.uk"))
    project.run_dbt(settings, ["build", "--exclude", "+int_posts", "--exclude-resource-type", "unit_test"], warehouse.url)
    assert "oneil.co.uk" not in str(marts(warehouse)) + str(rows(warehouse, "int_blocks"))
    assert voice(warehouse, "one") == "The one of them."
    clean(settings, warehouse, **AS_THE_ASSET)
    assert voice(warehouse, "one") == "Write to me: [email 1]"


def test_a_full_refresh_of_one_author_is_refused(warehouse: Database, settings: Settings) -> None:
    with pytest.raises(TwinError, match="leave the variable author out"):
        clean(settings, warehouse, "--full-refresh", author="ada")


def test_other_rules_clean_everything_anew(warehouse: Database, settings: Settings) -> None:
    add_post(warehouse, "ada", "late", paragraph("It was written late."), published_at="2024-05-01T00:00:00Z")
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    assert voice(warehouse, "late") == "It was written late."
    clean(settings, warehouse, **AS_THE_ASSET, until="2024-01-01")
    assert voice(warehouse, "late") is None


def test_after_many_changes_all_is_as_after_a_full_refresh(warehouse: Database, settings: Settings) -> None:
    random = Random(4)
    footers = [FOOTER, "Thanks to my cat.", "All loaves are mine."]

    def write(number: int) -> None:
        blocks = [paragraph(f"Loaf {number} rose {random.randint(1, 99)} times, didn’t it?")]
        blocks += [paragraph(footer) for footer in footers if random.random() < 0.4]
        blocks += [block("code", "bake()"), block("quote", "So they say.")] if random.random() < 0.3 else []
        blocks += [paragraph("See https://example.org now.\nShare this post")] if random.random() < 0.3 else []
        blocks += [paragraph("Ask ada@oneil.co.uk about it.")] if random.random() < 0.2 else []
        blocks = [] if random.random() < 0.1 else blocks
        state = random.choice(["kept"] * 8 + ["draft", "foreign"])
        url = random.choice([None, "https://a.example/x", "https://b.example/y"])
        add_post(warehouse, "ada", f"{number}", *blocks, state=state, reason="" if state == "kept" else "invented", url=url)

    for number in range(25):
        write(number)
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    for _ in range(3):
        for number in random.sample(range(30), 8):
            write(number)
        for number in random.sample(range(25), 3):
            with warehouse.begin() as connection:
                gone = "update ingest.raw_posts set deleted_at = case when deleted_at is null then now() end where id = :id"
                connection.execute(text(gone), {"id": post_id("ada", f"{number}")})
        clean(settings, warehouse, **AS_THE_ASSET)
    step_by_step = marts(warehouse)
    assert min(len(found) for found in step_by_step.values()) > 1
    clean(settings, warehouse, "--full-refresh", "--exclude-resource-type", "unit_test")
    assert marts(warehouse) == step_by_step
