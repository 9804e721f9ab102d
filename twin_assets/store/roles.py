"""Who may read what: the raw text is for ingest and cleaning, and what dbt makes of it for the stages after them.

Roles belong to the server, tables to one of its databases, and a login may be allowed to make the one but not the other. So the
rights are no matter of one migration: ``Database.migrate`` brings them about after each, and as soon as the roles are there.
A change of the rights alone comes with a migration that changes no table.
"""

from enum import StrEnum

from sqlalchemy import Connection, text


class Role(StrEnum):
    """As whom a connection works."""

    OWNER = ""
    """The login itself: migrations and administration."""
    INGEST = "twin_ingest"
    """Reads the sources and cleans what they hold; the only one that reads raw text."""
    DOWNSTREAM = "twin_downstream"
    """Every stage after cleaning, the API and the assistant: reads the marts."""
    READER = "twin_reader"
    """A search: sees the chunks of one author, the one that ``twin.author`` names."""


MARTS = ("cleaned_documents", "documents", "posts", "articles", "code", "dropped_documents", "dropped_blocks")
"""What dbt makes for the stages after cleaning; its models grant the same when they are built."""

# Since Postgres 16 a member of a role may be kept from taking it.
_MAY_TAKE = "pg_has_role(name, case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end)"

_MAY_SEARCH = f"coalesce(pg_has_role(to_regrole('{Role.DOWNSTREAM}')::oid, to_regrole('{Role.READER}')::oid, 'MEMBER'), false)"

# Each statement may fail alone: another database's migration was faster, or this login may not.
_CREATE = f"""
do $$
declare
    name text;
begin
    foreach name in array array['{Role.INGEST}', '{Role.DOWNSTREAM}', '{Role.READER}'] loop
        begin
            if to_regrole(name) is null then
                execute 'create role ' || name || ' nologin';
            end if;
        exception when duplicate_object or unique_violation or insufficient_privilege then null;
        end;
        begin
            if to_regrole(name) is not null and not {_MAY_TAKE} then
                execute 'grant ' || name || ' to current_user';
            end if;
        exception when unique_violation or insufficient_privilege then null;
        end;
    end loop;
    if to_regrole('{Role.DOWNSTREAM}') is not null and to_regrole('{Role.READER}') is not null and not {_MAY_SEARCH} then
        grant {Role.READER} to {Role.DOWNSTREAM};
    end if;
exception when unique_violation or insufficient_privilege then null;
end $$
"""

_MISSING = f"""
select case when to_regrole(name) is null then format('create role %I nologin; ', name) else '' end
       || format('grant %I to %I;', name, current_user)
from unnest(array['{Role.INGEST}', '{Role.DOWNSTREAM}', '{Role.READER}']) as name
where to_regrole(name) is null or not {_MAY_TAKE}
union all
select 'grant {Role.READER} to {Role.DOWNSTREAM};' where not {_MAY_SEARCH}
"""  # noqa: S608  # constants, as below

_IN_FORCE = f"""
select bool_and(coalesce(has_schema_privilege(to_regrole(role)::oid, schema, privilege), false))
from (values ('{Role.INGEST}', 'ingest', 'usage'), ('{Role.DOWNSTREAM}', 'features', 'create'),
      ('{Role.READER}', 'features', 'usage')) as given (role, schema, privilege)
"""  # noqa: S608

# dbt logs in as the owner, too, and makes its tables anew: so it is the default that the ingest role may use them, and only it.
_RIGHTS = f"""
revoke all on all tables in schema ingest, cleaning from public, {Role.DOWNSTREAM};

grant usage on schema ingest, cleaning, registry to {Role.INGEST};
grant select, insert, update, delete, truncate on all tables in schema ingest, cleaning to {Role.INGEST};
alter default privileges in schema cleaning grant select, insert, update, delete, truncate on tables to {Role.INGEST};
grant insert, update, delete on registry.authors, registry.sources to {Role.INGEST};

grant usage on schema ingest, cleaning, registry to {Role.DOWNSTREAM};
grant usage, create on schema features to {Role.DOWNSTREAM};
grant select on ingest.reads to {Role.DOWNSTREAM};
grant select (author, source, platform, kind, state, words, updated_at, deleted_at) on ingest.raw_posts to {Role.DOWNSTREAM};
grant insert, update, delete on registry.artifacts, registry.models, registry.deployments to {Role.DOWNSTREAM};
grant insert, update, delete on registry.edits to {Role.DOWNSTREAM};
grant insert on registry.transitions to {Role.DOWNSTREAM};
grant update (thresholds, overrides) on registry.authors to {Role.DOWNSTREAM};
grant usage on all sequences in schema registry to {Role.DOWNSTREAM};
grant usage on schema features to {Role.READER};
grant select on all tables in schema features to {Role.READER};
revoke all on all functions in schema features from public;
grant execute on all functions in schema features to {Role.READER}, {Role.DOWNSTREAM};

grant select on all tables in schema registry to {Role.INGEST}, {Role.DOWNSTREAM};
grant select on public.alembic_version to {Role.INGEST}, {Role.DOWNSTREAM};
"""  # noqa: S608

# An index can be made by the owner of its table alone; a function that sees all rows may be nobody's who can do more than that.
_FEATURES = """
select format('alter table %s owner to %s', oid::regclass, cast(:role as regrole))
from pg_class
where relnamespace = cast('features' as regnamespace) and relkind in ('r', 'p', 'v', 'm') and relowner <> cast(:role as regrole)
union all
select format('alter function %s owner to %s', oid::regprocedure, cast(:role as regrole))
from pg_proc
where pronamespace = cast('features' as regnamespace) and proowner <> cast(:role as regrole)
"""

_MARTS = """
select format('grant select on %s to %s', oid::regclass, cast(:role as regrole))
from pg_class
where relnamespace = cast('cleaning' as regnamespace) and relname = any(:marts)
"""

_READABLE = """
select has_column_privilege('ingest.raw_posts', 'title', 'select') or has_column_privilege('ingest.raw_posts', 'blocks', 'select')
    or exists (
        select from pg_class
        where relnamespace in ('ingest'::regnamespace, 'cleaning'::regnamespace)
          and relkind in ('r', 'p', 'v', 'm') and relname <> all(:others) and has_any_column_privilege(oid, 'select')
    )
"""


def establish(connection: Connection) -> bool:
    """Makes the roles where this login may, and gives each its rights, no more and no less. Running it again changes nothing.

    Returns:
        False when an administrator has to make the roles first (``missing`` says how); then no right was changed.
    """
    connection.execute(text(_CREATE))
    if missing(connection):
        return False
    connection.execute(text(_RIGHTS))
    _execute_all(connection, _FEATURES, role=Role.DOWNSTREAM)
    _execute_all(connection, _MARTS, role=Role.DOWNSTREAM, marts=list(MARTS))
    return True


def in_force(connection: Connection) -> bool:
    """Whether the rights were given in this database."""
    return bool(connection.scalar(text(_IN_FORCE)))


def missing(connection: Connection) -> str:
    """The SQL that an administrator has to run so that this login can work as both roles; empty when it can."""
    return " ".join(connection.scalars(text(_MISSING)))


def raw_text_is_readable(connection: Connection) -> bool:
    """Whether this connection could read raw text, or what cleaning makes of it on the way."""
    return bool(connection.scalar(text(_READABLE), {"others": ["raw_posts", "reads", *MARTS]}))


def _execute_all(connection: Connection, query: str, **values: object) -> None:
    for statement in connection.scalars(text(query), values).all():
        connection.exec_driver_sql(statement)
