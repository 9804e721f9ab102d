"""Who may read what. Most is tried on the session's server; what is about making roles, on a server of its own, where anybody may log in."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from twin_assets.cleaning.documents import load_documents
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.search import search
from twin_assets.features.sync import sync_chunks
from twin_assets.ingest.crawls import last_reads
from twin_assets.ingest.report import state_counts
from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.status import raw_text_exposure
from twin_assets.store import roles
from twin_assets.store.database import MIGRATIONS, Database, open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.store.roles import Role
from twin_assets.store.tables import metadata
from twin_assets_tests.cleaning.posts import add_post, paragraph
from twin_assets_tests.features.conftest import Clean, clean  # noqa: F401  # fixture
from twin_assets_tests.features.documents import document

RAW = [
    "select blocks from ingest.raw_posts",
    "select title from ingest.raw_posts",
    "select * from ingest.raw_posts",
    "select raw_posts from ingest.raw_posts",
    "select content from ingest.pages",
    "select from cleaning.int_blocks",
    "select from cleaning.annotations",
    "insert into ingest.reads select * from ingest.reads",
    "delete from ingest.raw_posts",
    "update registry.sources set location = '/etc/passwd'",
    "create table cleaning.mine (n int)",
    "create table registry.mine (n int)",
]


class Fake:
    """An embedder of three dimensions."""

    name, spec, dimension, max_tokens = "fake", "fake", 3, 64

    def count_tokens(self, words: str) -> int:
        return len(words.split())

    def encode(self, texts: list[str]) -> np.ndarray:
        vectors = np.array([[1, len(entry) % 7, len(entry) % 11] for entry in texts], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def downstream(database: Database, settings: Settings) -> Database:
    return open_database(settings)


@pytest.fixture
def ingest(database: Database, settings: Settings) -> Database:
    return open_database(settings, Role.INGEST)


@pytest.fixture
def intermediate(database: Database) -> Iterator[None]:
    """A table as dbt makes it on the way to the marts, where there is none."""
    with database.begin() as connection:
        existed = connection.scalar(text("select to_regclass('cleaning.int_blocks')")) is not None
        connection.execute(text("create table if not exists cleaning.int_blocks (n int)"))
    yield
    if not existed:
        with database.begin() as connection:
            connection.execute(text("drop table cleaning.int_blocks"))


@pytest.mark.usefixtures("intermediate")
@pytest.mark.parametrize("statement", RAW)
def test_a_later_stage_is_refused(downstream: Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied for (table|schema|view)"), downstream.begin() as connection:
        connection.execute(text(statement))


def test_a_later_stage_counts_what_it_cannot_read(downstream: Database, ingest: Database) -> None:
    add_post(ingest, "ada", "one", paragraph("Nobody's business."))
    assert state_counts(downstream, "ada") == {"ada": {"kept": 1}}
    assert last_reads(downstream, "ada") == []


def test_a_later_stage_does_its_work(downstream: Database, clean: Clean) -> None:  # noqa: F811
    pickles = document("Salt draws the water out of a cucumber.", key=uuid4())
    clean([pickles])
    embedder = Fake()
    documents = load_documents(downstream, "ada")
    assert [entry.id for entry in documents] == [pickles.id]
    assert sync_chunks(downstream, "ada", documents, embedder.count_tokens).written == 1
    assert sync_embeddings(downstream, "ada", embedder).embedded == 1  # pyright: ignore[reportArgumentType]
    assert [found.document_id for found in search(downstream, "ada", embedder, "pickles", 1)] == [pickles.id]  # pyright: ignore[reportArgumentType]
    assert sync_chunks(downstream, "ada", [], embedder.count_tokens).deleted == 1
    with downstream.begin() as connection:
        made = "select indexrelid::regclass::text from pg_index where pg_get_indexdef(indexrelid) like '%''fake''%'"
        (index,) = connection.scalars(text(made)).all()
        connection.execute(text(f"drop index {index}"))


def test_the_registry_is_written_by_both_each_its_part(downstream: Database, ingest: Database) -> None:
    sources, results = Registry(ingest), Registry(downstream)
    sources.add_author("ada")
    sources.add_source("ada", "/posts")
    sources.add_source("ada", "/posts", schedule="0 6 * * *")
    assert results.authors() == ["ada"] and results.sources("ada") == ["/posts"]
    results.record_artifact("ada", "voice_profile", "v1", "file")
    results.record_model(Model("m1", "ada", "d1", "c1", "base", "adapter"))
    results.record_deployment(Deployment("ada", "m1", "llama.cpp", "http://127.0.0.1:1", "file"))
    results.remove_deployment("ada")
    assert [model.status for model in sources.models("ada")] == ["retired"]
    sources.remove_source("ada", "/posts")
    for registry, change in ((results, lambda r: r.add_author("eve")), (sources, lambda r: r.record_artifact("ada", "k", "v", "u"))):
        with pytest.raises(ProgrammingError, match="permission denied for table"):
            change(registry)


@pytest.mark.usefixtures("intermediate")
def test_the_ingest_role_reads_and_cleans_raw_text(ingest: Database) -> None:
    add_post(ingest, "ada", "one", paragraph("Mine."))
    with ingest.begin() as connection:
        assert connection.scalar(text("select blocks -> 0 ->> 'text' from ingest.raw_posts")) == "Mine."
        connection.execute(text("select from cleaning.annotations"))
        connection.execute(text("select from cleaning.int_blocks"))  # which dbt has made since the rights were given
        connection.execute(text("delete from ingest.raw_posts"))


def test_a_connection_has_its_role_whatever_happened_to_it_before(downstream: Database) -> None:
    def who() -> str | None:
        return connection.scalar(text("select current_user"))

    backends = set()
    for spoil in ("rollback", "reset role", "discard all", "set local role none"):
        with downstream.engine.connect() as connection:
            backends.add(connection.scalar(text("select pg_backend_pid()")))
            if spoil == "discard all":
                connection.rollback()
                connection.connection.driver_connection.autocommit = True  # pyright: ignore[reportOptionalMemberAccess]
            connection.exec_driver_sql(spoil)
            if spoil == "discard all":
                connection.connection.driver_connection.autocommit = False  # pyright: ignore[reportOptionalMemberAccess]
            connection.commit()
            assert who() == Role.DOWNSTREAM, spoil
        with downstream.engine.connect() as connection:
            backends.add(connection.scalar(text("select pg_backend_pid()")))
            assert who() == Role.DOWNSTREAM, f"after {spoil}"
    assert len(backends) == 1  # it was the same one all the time


def test_a_new_connection_has_its_role_beside_other_options(session_database: Database) -> None:
    database = Database(f"{session_database.url}&options=-c%20statement_timeout%3D12345", Role.INGEST)
    with database.begin() as connection:
        assert connection.execute(text("select current_user, current_setting('statement_timeout')")).one() == ("twin_ingest", "12345ms")
    database.engine.dispose()


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=str)
def test_every_table_is_written_by_one_role_and_raw_text_read_by_none_but_ingest(session_database: Database, table: object) -> None:
    query = text("select has_table_privilege(:role, :table, 'select'), has_table_privilege(:role, :table, 'insert, update, delete')")
    with session_database.begin() as connection:
        may = {role: connection.execute(query, {"role": role, "table": str(table)}).one() for role in (Role.INGEST, Role.DOWNSTREAM)}
    schema = str(table).split(".")[0]
    assert sorted(writes for _, writes in may.values()) == [False, True]
    assert may[Role.INGEST][0] is (schema != "features")
    assert may[Role.DOWNSTREAM][0] is (schema in {"features", "registry"} or str(table) == "ingest.reads")


def test_all_that_dbt_makes_for_the_later_stages_is_known() -> None:
    assert {file.stem for file in (PROJECT_ROOT / "dbt_cleaning" / "models" / "marts").glob("*.sql")} == set(roles.MARTS)


def test_raw_text_is_asked_for_by_ingest_and_cleaning_alone() -> None:
    asks = re.compile(r"raw_database\(|Role\.(INGEST|OWNER)")
    files = [*(PROJECT_ROOT / "twin_assets").glob("**/*.py"), *(PROJECT_ROOT / "app").glob("**/*.py")]
    found = {file.relative_to(PROJECT_ROOT).as_posix() for file in files if asks.search(file.read_text())}
    may = {"twin_assets/cli/services.py", "twin_assets/cli/terminal.py", "twin_assets/resources.py"}
    assert may <= found
    assert [
        name for name in found - may if not name.startswith(("twin_assets/ingest/", "twin_assets/cleaning/", "twin_assets/store/"))
    ] == []


# From here on: how the roles come to be.


class Server:
    """A server where anybody may log in under any name, to make databases and logins on."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._numbers = count()
        self._databases: list[str] = []

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Runs statements as a superuser, and gives back what the last one finds."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType]
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, login: str = "twin") -> str:
        return self._postgres._url(database).replace("//twin@", f"//{login}@")

    def database(self, owner: str = "twin") -> str:
        """The name of a new database with the extensions that a managed server offers."""
        name = f"twin_{next(self._numbers)}"
        self.run(f"create database {name} owner {owner}")
        self.run("create extension vector", database=name)
        self._databases.append(name)
        return name

    def clear(self) -> None:
        """Takes away the databases and every role beside the superuser."""
        for name in self._databases:
            self.run(f"drop database {name} with (force)")
        self._databases.clear()
        others = r"select quote_ident(rolname) from pg_roles where rolname not like 'pg\_%' and rolname <> 'twin'"
        for (role,) in self.run(f"{others} order by rolname not like 'twin%'"):  # who granted something goes after it
            self.run(f"drop role {role}")


@pytest.fixture(scope="module")
def postgres(settings: Settings) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(settings.home.parent / "roles")
    postgres.ensure()
    (postgres.data / "pg_hba.conf").write_text("local all all trust\n")
    postgres.stop()
    postgres.ensure()
    yield postgres
    postgres.stop()


@pytest.fixture
def server(postgres: EmbeddedPostgres) -> Iterator[Server]:
    server = Server(postgres)
    yield server
    server.clear()


@pytest.fixture
def handle(server: Server) -> Iterator[Callable[..., Database]]:
    """Opens a database directly; its connections end with the test."""
    opened = []

    def make(name: str, login: str = "twin", role: Role = Role.OWNER) -> Database:
        opened.append(Database(server.url(name, login), role))
        return opened[-1]

    yield make
    for database in opened:
        database.engine.dispose()


def rights(server: Server, name: str) -> list[tuple[object, ...]]:
    """Owner and rights of everything in the platform's schemas."""
    schemas = "n.nspname in ('ingest', 'cleaning', 'features', 'registry')"
    relations = f"""
    select n.nspname || '.' || relname, relowner::regrole::text, relacl::text from pg_class c join pg_namespace n on n.oid = relnamespace
    where {schemas} and relkind in ('r', 'v', 'S')
    union all
    select attrelid::regclass || '.' || attname, '', attacl::text from pg_attribute where attacl is not null and attrelid > 16383
    union all
    select n.nspname, nspowner::regrole::text, nspacl::text from pg_namespace n where {schemas}
    order by 1
    """
    return server.run(relations, database=name)


def migrate_to(database: Database, revision: str) -> None:
    with database.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def readable(database: Database, *names: str) -> list[bool]:
    with database.begin() as connection:
        return [connection.scalar(text(f"select has_table_privilege('{name}', 'select')")) is True for name in names]


def test_a_database_from_before_ends_as_a_new_one(server: Server, handle: Callable[..., Database]) -> None:
    old, new = server.database(), server.database()
    migrate_to(handle(old), "0002")
    marts = ("cleaning.cleaned_documents", "cleaning.documents")
    server.run(
        "create table cleaning.cleaned_documents (n int)",
        "create view cleaning.documents as table cleaning.cleaned_documents",
        database=old,
    )
    server.run("create view cleaning.stg_raw_posts as table ingest.raw_posts", database=old)
    assert handle(old).migrate() and handle(new).migrate()
    assert readable(handle(old, role=Role.DOWNSTREAM), *marts, "cleaning.stg_raw_posts") == [True, True, False]
    server.run("drop view cleaning.stg_raw_posts", "drop table cleaning.cleaned_documents cascade", database=old)
    assert rights(server, old) == rights(server, new)
    assert any("twin_downstream=r/" in str(row) for row in rights(server, new))


def test_migrating_again_changes_no_right(server: Server, handle: Callable[..., Database]) -> None:
    name = server.database()
    handle(name).migrate()
    before = rights(server, name)
    with handle(name).begin() as connection:
        assert roles.establish(connection)
    assert rights(server, name) == before


def test_rights_that_were_given_by_hand_are_taken_back_by_the_next_migration(server: Server, handle: Callable[..., Database]) -> None:
    name = server.database()
    handle(name).migrate()
    before = rights(server, name)
    server.run(
        "grant select on ingest.pages to twin_downstream", "grant select (title) on ingest.raw_posts to twin_downstream", database=name
    )
    with handle(name, role=Role.DOWNSTREAM).begin() as connection:
        assert roles.raw_text_is_readable(connection)
    with handle(name).begin() as connection:
        roles.establish(connection)
    assert rights(server, name) == before


def test_many_migrate_one_database_at_once(server: Server, handle: Callable[..., Database]) -> None:
    name = server.database()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(Database.migrate, [handle(name) for _ in range(4)]))


def test_two_databases_make_the_roles_of_their_server_at_once(server: Server, handle: Callable[..., Database]) -> None:
    first, second = server.database(), server.database()
    for name in (first, second):
        migrate_to(handle(name), "head")
    waits = "select 1 from pg_stat_activity where state = 'active' and wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool:
        with handle(first).begin() as connection:
            assert roles.establish(connection)
            late = pool.submit(handle(second).migrate)
            deadline = time.monotonic() + 20
            while not server.run(waits) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert server.run(waits) and not late.done()
        assert late.result(20)
    assert rights(server, first) == rights(server, second)


def test_a_login_that_may_make_roles_needs_no_administrator(server: Server, handle: Callable[..., Database]) -> None:
    server.run("create role master login createrole")  # as on a managed server, which gives nobody a superuser
    name = server.database("master")
    assert handle(name, "master").migrate()
    assert handle(name, "master").migrate()
    with pytest.raises(ProgrammingError, match="permission denied"), handle(name, "master", Role.DOWNSTREAM).begin() as connection:
        connection.execute(text("select blocks from ingest.raw_posts"))
    with handle(name, "master", Role.DOWNSTREAM).begin() as connection:
        connection.execute(text("create index made on features.embeddings (model)"))
    with handle(name, "master").begin() as connection:  # as a later migration does
        connection.execute(text("alter table ingest.raw_posts add column later text"))
        connection.execute(text("alter table features.embeddings add column later text"))


def test_a_login_that_may_not_make_roles_says_what_an_administrator_has_to_run(server: Server, settings: Settings) -> None:
    server.run('create role "Weak one" login')
    name = server.database('"Weak one"')
    weak = settings.model_copy(update={"database_url": SecretStr(server.url(name, "Weak%20one"))})
    with capture_logs() as logs:
        database = open_database(weak)
        assert open_database(weak) is database
    assert [(entry["log_level"], "every stage can read raw text" in entry["event"]) for entry in logs] == [("warning", True)]
    Registry(database).add_author("ada")  # it works all the same
    exposure = raw_text_exposure(weak)
    assert "Every stage can read raw text" in exposure
    with database.begin() as connection:
        statements = roles.missing(connection)
    assert statements in exposure and logs[0]["sql"] == statements
    for role in ("twin_ingest", "twin_downstream", "twin_reader"):
        assert f'create role {role} nologin; grant {role} to "Weak one";' in statements

    server.run(statements)
    protected = open_database(weak)
    assert raw_text_exposure(weak) == ""
    with pytest.raises(ProgrammingError, match="permission denied"), protected.begin() as connection:
        connection.execute(text("select blocks from ingest.raw_posts"))
    assert Registry(protected).authors() == ["ada"]
    with open_database(weak, Role.INGEST).begin() as connection:
        connection.execute(text("select blocks from ingest.raw_posts"))
    for opened in (database, protected, open_database(weak, Role.INGEST)):
        opened.engine.dispose()


def test_roles_of_another_platform_on_the_server_are_asked_for(server: Server, handle: Callable[..., Database]) -> None:
    handle(server.database()).migrate()
    server.run("create role second login createrole")
    name = server.database("second")
    assert not handle(name, "second").migrate()
    with handle(name, "second").begin() as connection:
        statements = roles.missing(connection)
    assert statements == "grant twin_ingest to second; grant twin_downstream to second; grant twin_reader to second;"
    server.run(statements)
    assert handle(name, "second").migrate()


def test_a_login_of_its_own_cannot_leave_its_role(server: Server, settings: Settings) -> None:
    name = server.database()
    both = settings.model_copy(update={"database_url": SecretStr(server.url(name))})
    raw = open_database(both, Role.INGEST)
    server.run("create role twin_api login", "grant twin_downstream to twin_api")
    own = SecretStr(server.url(name, "twin_api"))
    apart, alone = (
        settings.model_copy(update=update)
        for update in (
            {"database_url": SecretStr(server.url(name)), "downstream_database_url": own},
            {"database_url": own},  # as in the container of the API
        )
    )
    database = open_database(apart)
    assert open_database(apart, Role.INGEST) is raw
    assert open_database(alone) is database
    for escape in ("set role none", "reset role", "set role twin_ingest", "set role twin"):
        with pytest.raises(ProgrammingError, match="permission denied"), database.begin() as connection:
            connection.execute(text(escape))
            connection.execute(text("select blocks from ingest.raw_posts"))
    with pytest.raises(TwinError, match=r'permission denied to set role "twin_ingest"'):
        open_database(alone, Role.INGEST)
    for opened in (raw, database):
        opened.engine.dispose()


def test_in_one_login_the_role_guards_against_mistakes_only(server: Server, handle: Callable[..., Database]) -> None:
    """What the docs say: SQL that takes another role can read all that the login can."""
    name = server.database()
    handle(name).migrate()
    with handle(name, role=Role.DOWNSTREAM).begin() as connection:
        connection.execute(text("set local role none"))
        assert roles.raw_text_is_readable(connection)
