import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from twin_assets.features import embedders, migrate
from twin_assets.features.embedders import active_embedder
from twin_assets.features.embedding import embed, index_name, sync_embeddings
from twin_assets.features.golden import measure
from twin_assets.features.migrate import MigrationReport
from twin_assets.features.sync import sync_chunks
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets_tests.features.conftest import Clean
from twin_assets_tests.features.documents import document
from twin_assets_tests.features.embedders import Hashing, Noise

SUBJECTS = ["pickles", "trains", "ferries", "bread", "lamps", "gardens", "winters", "ladders", "engines", "markets", "charts", "ropes"]
VERBS = ["keeps", "mends", "paints", "sells", "counts", "lends"]


def _document(subject: str, number: int, author: str):
    sections = [
        f"## How my neighbour {verb} {subject}\n\nMy neighbour {verb} {subject} at the harbour on {day}, and whoever asks for them gets "
        f"an answer about {subject} {number}{place}."
        for place, (verb, day) in enumerate(zip(VERBS, ["Monday", "Tuesday", "Friday"] * 2, strict=True))
    ]
    return document("\n\n".join(sections), title=subject.title(), author=author, key=UUID(int=number))


DOCUMENTS = [_document(subject, number, "ada") for number, subject in enumerate(SUBJECTS, 1)]
OF_BOB = [_document(subject, number, "bob") for number, subject in enumerate(SUBJECTS[:3], 100)]
GOOD, ALSO_GOOD, BAD = Hashing("good@1", 64), Hashing("also-good@1", 96), Noise("bad@1", 64)


class Models:
    """Resolves specs as the real function does; a spec can come to mean another model."""

    def __init__(self) -> None:
        self.by_spec: dict[str, Hashing] = {model.spec: model for model in (GOOD, ALSO_GOOD, BAD)}

    def __call__(self, spec: str, settings: Settings) -> Hashing:
        if spec not in self.by_spec:
            raise TwinError(f"There is no model {spec}.")
        return self.by_spec[spec]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    found = Models()
    monkeypatch.setattr(migrate, "embedder", found)
    monkeypatch.setattr(embedders, "embedder", found)
    monkeypatch.setattr(embedders, "_known", {})
    embedders._warn_of_another.cache_clear()
    return found


@pytest.fixture
def good(settings: Settings) -> Settings:
    return settings.model_copy(update={"embedder": "good"})


@pytest.fixture
def indexed(database: Database, clean: Clean, models: Models) -> Iterator[Database]:
    """Everything embedded with the good model, which is the active one."""
    clean([*DOCUMENTS, *OF_BOB])
    for author, documents in (("ada", DOCUMENTS), ("bob", OF_BOB)):
        sync_chunks(database, author, documents, GOOD.count_tokens, max_tokens=64)
        sync_embeddings(database, author, GOOD)  # pyright: ignore[reportArgumentType]
    yield database
    with database.begin() as connection:
        for model in (GOOD, ALSO_GOOD, BAD):
            connection.execute(text(f"drop index if exists features.{index_name(model.name)}"))


def rows(database: Database, query: str) -> list[tuple]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def vectors(database: Database) -> dict[str, int]:
    return dict(rows(database, "select model, count(*) from features.embeddings group by model"))  # type: ignore[arg-type]


def active_models(database: Database) -> list[str]:
    return [name for (name,) in rows(database, "select name from features.models where active")]


def indexes(database: Database) -> set[str]:
    made = {name for (name,) in rows(database, "select indexname from pg_indexes where indexname like 'embeddings_hnsw%'")}
    return made & {index_name(model.name) for model in (GOOD, ALSO_GOOD)}  # other tests leave theirs


def run(database: Database, settings: Settings, spec: str, **options) -> MigrationReport:
    return migrate.migrate(database, settings, spec, **options)


def test_the_model_of_the_settings_is_used_until_there_is_an_active_one(database: Database, good: Settings, models: Models) -> None:
    assert active_embedder(database, good) is GOOD
    with database.begin() as connection:
        embedders.register(connection, ALSO_GOOD)  # pyright: ignore[reportArgumentType]
        embedders.register(connection, BAD)  # pyright: ignore[reportArgumentType]
    assert active_models(database) == [ALSO_GOOD.name]
    with capture_logs() as logs:
        assert [active_embedder(database, good) for _ in range(3)] == [ALSO_GOOD] * 3
    (warning,) = logs
    assert (warning["setting"], warning["used"]) == ("good", "also-good")
    assert "twin features migrate --model good" in warning["what_to_do"]


def test_another_model_under_the_same_name_is_refused(indexed: Database, good: Settings, models: Models) -> None:
    models.by_spec["good"] = Hashing("good@2", 64)
    with pytest.raises(TwinError, match=r"good@2 instead of good@1.*--force"):
        active_embedder(indexed, good)


def test_a_switch_embeds_all_of_all_authors_and_keeps_the_old_vectors(indexed: Database, good: Settings) -> None:
    before = vectors(indexed)[GOOD.name]
    told: list[str] = []
    report = run(indexed, good, "also-good", progress=told.append)
    assert (report.previous, report.model, report.embedded, report.dropped) == (GOOD.name, ALSO_GOOD.name, before, 0)
    assert vectors(indexed) == {GOOD.name: before, ALSO_GOOD.name: before}
    assert active_models(indexed) == [ALSO_GOOD.name]
    assert active_embedder(indexed, good) is ALSO_GOOD
    assert indexes(indexed) == {index_name(GOOD.name), index_name(ALSO_GOOD.name)}
    assert [comparison.author for comparison in report.comparisons] == ["ada", "bob"]
    assert all(comparison.new.n == comparison.old.n > 5 for comparison in report.comparisons)
    assert any("ada: recall@10" in line for line in told) and any("texts embedded" in line for line in told)


def test_migrating_back_embeds_nothing(indexed: Database, good: Settings) -> None:
    run(indexed, good, "also-good")
    GOOD.read.clear()
    report = run(indexed, good, "good", force=True)
    assert report.embedded == 0 and active_models(indexed) == [GOOD.name]


def test_the_active_model_again_changes_nothing(indexed: Database, good: Settings) -> None:
    before = rows(indexed, "select name, xmin::text from features.models"), vectors(indexed)
    report = run(indexed, good, "good")
    assert report == MigrationReport(GOOD.name, GOOD.name, 0, (), 0)
    assert (rows(indexed, "select name, xmin::text from features.models"), vectors(indexed)) == before


def test_a_worse_model_is_refused_with_its_figures_and_forced_in_spite_of_them(indexed: Database, good: Settings) -> None:
    with pytest.raises(TwinError, match=r"bad@1 finds less than good@1.*\n- ada: recall@10 [01]\.\d+ -> [01]\.\d+, MRR 0\.\d+ -> 0\.\d+"):
        run(indexed, good, "bad")
    assert active_models(indexed) == [GOOD.name] and active_embedder(indexed, good) is GOOD
    report = run(indexed, good, "bad", force=True)
    assert report.embedded == 0, "the vectors of the first try are kept"
    assert active_models(indexed) == [BAD.name]
    worse = report.comparisons[0]
    assert not worse.finding.passed and worse.new.mrr < worse.old.mrr


def test_the_tolerance_is_kept_to(indexed: Database, good: Settings) -> None:
    report = run(indexed, good, "bad", tolerance=1.0)
    assert all(comparison.finding.passed for comparison in report.comparisons) and active_models(indexed) == [BAD.name]


def test_a_model_that_reads_less_is_switched_to_only_by_force(indexed: Database, good: Settings, models: Models) -> None:
    short = Hashing("short@1", 64)
    short.max_tokens = 32
    models.by_spec["short"] = short
    with pytest.raises(TwinError, match=r"reads 32 tokens .* --force"):
        run(indexed, good, "short")
    assert active_models(indexed) == [GOOD.name]


def test_where_nobody_wrote_enough_to_compare_a_model_is_switched_to_only_by_force(indexed: Database, good: Settings, clean: Clean) -> None:
    clean([])
    with pytest.raises(TwinError, match="nobody knows what it finds"):
        run(indexed, good, "also-good")
    assert run(indexed, good, "also-good", force=True).model == ALSO_GOOD.name


def test_old_vectors_go_only_when_told(indexed: Database, good: Settings) -> None:
    run(indexed, good, "also-good")
    count = vectors(indexed)[GOOD.name]
    report = run(indexed, good, "also-good", drop_old=True)
    assert (report.embedded, report.dropped) == (0, count)
    assert vectors(indexed) == {ALSO_GOOD.name: count}
    assert indexes(indexed) == {index_name(ALSO_GOOD.name)}
    assert rows(indexed, "select name from features.models") == [(ALSO_GOOD.name,)]
    assert measure(indexed, "ada", ALSO_GOOD, []).documents > 0  # pyright: ignore[reportArgumentType]


def test_a_refused_migration_drops_nothing(indexed: Database, good: Settings) -> None:
    with pytest.raises(TwinError):
        run(indexed, good, "bad", drop_old=True)
    assert set(vectors(indexed)) == {GOOD.name, BAD.name} and active_models(indexed) == [GOOD.name]


def test_chunks_that_appear_meanwhile_are_embedded_before_the_switch(
    indexed: Database, good: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = migrate._compare
    added = document("A late note about umbrellas and their owners.", title="Umbrellas")

    def meanwhile(*arguments):
        sync_chunks(indexed, "ada", [*DOCUMENTS, added], GOOD.count_tokens, max_tokens=64)
        return compare(*arguments)

    monkeypatch.setattr(migrate, "_compare", meanwhile)
    run(indexed, good, "also-good")
    assert vectors(indexed)[ALSO_GOOD.name] == rows(indexed, "select count(*) from features.chunks")[0][0]
    assert vectors(indexed)[GOOD.name] < vectors(indexed)[ALSO_GOOD.name]


def test_a_model_that_is_gone_is_replaced_only_by_force(indexed: Database, good: Settings, models: Models) -> None:
    del models.by_spec["good"]
    with pytest.raises(TwinError, match="There is no model good"):
        run(indexed, good, "also-good")
    assert ALSO_GOOD.name not in vectors(indexed)
    report = run(indexed, good, "also-good", force=True)
    assert report.comparisons == () and active_models(indexed) == [ALSO_GOOD.name]


def test_without_any_chunks_the_model_simply_becomes_the_active_one(database: Database, good: Settings, models: Models) -> None:
    report = run(database, good, "also-good")
    assert (report.previous, report.embedded, report.comparisons) == (None, 0, ())
    assert active_models(database) == [ALSO_GOOD.name]
    with database.begin() as connection:
        connection.execute(text(f"drop index features.{index_name(ALSO_GOOD.name)}"))


def test_an_unknown_model_changes_nothing(indexed: Database, good: Settings) -> None:
    with pytest.raises(TwinError, match="There is no model nobody's"):
        run(indexed, good, "nobody's")
    assert active_models(indexed) == [GOOD.name]


KILLED = """
import sys
from twin_assets.features import embedders, migrate
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets_tests.features.embedders import Hashing
models = {"good": Hashing("good@1", 64), "also-good": Hashing("also-good@1", 96, delay=0.1)}
migrate.embedder = embedders.embedder = lambda spec, settings: models[spec]
embed = migrate.embed
migrate.embed = lambda *arguments, **options: embed(*arguments, batch_characters=1000, **options)
migrate.migrate(Database(sys.argv[1]), Settings(embedder="good"), "also-good")
"""


def test_a_killed_migration_switches_nothing_and_is_gone_on_with(indexed: Database, good: Settings) -> None:
    total = vectors(indexed)[GOOD.name]
    process = subprocess.Popen([sys.executable, "-c", KILLED, indexed.url])
    while ALSO_GOOD.name not in vectors(indexed) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    held = vectors(indexed)[ALSO_GOOD.name]
    assert 0 < held < total and active_models(indexed) == [GOOD.name]
    report = run(indexed, good, "also-good")
    assert report.embedded == total - held
    assert vectors(indexed)[ALSO_GOOD.name] == total and active_models(indexed) == [ALSO_GOOD.name]


def test_a_failed_switch_leaves_the_old_model_active(indexed: Database, good: Settings) -> None:
    embed(indexed, "ada", ALSO_GOOD)  # pyright: ignore[reportArgumentType]
    assert not migrate._switch(indexed, ALSO_GOOD)  # pyright: ignore[reportArgumentType]  # bob has no vectors yet
    assert active_models(indexed) == [GOOD.name]
