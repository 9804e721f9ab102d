"""Cleaning in dbt: how long it takes, whether the cost follows the change, and what it does to real corpora.

Invented posts (``benchmarks/cleaning_posts.py``) are cleaned by ``dbt_cleaning`` and by what one would write first
(``benchmarks/cleaning_naive.sql``, plain SQL without dbt, so without its start-up and its tests). Figures in seconds, medians where a
measurement is repeated:

* ``full_seconds``: ``dbt build --full-refresh`` of ``--posts`` posts, models and tests; ``full_models_seconds``: the models alone. Both beyond
  ``startup_seconds``, which is a build with the same arguments that selects nothing: imports, profile, manifest.
* ``naive_seconds``: the naive SQL on the same posts. ``annotate_seconds``: what ``cleaning/annotations`` does before, for all of them.
  The posts beyond them, up to ``--large``, get plain annotations.
* ``incremental_seconds_10k``, ``incremental_seconds_100k``: 80 posts edited, 10 new, 10 deleted, built as the asset builds them, models and
  tests, beyond start-up; among ``--posts`` and among ``--large``. ``noop_seconds_100k``: the same with nothing changed.
* ``full_refresh_equal``: 1 when every mart is the same after the changes as after a full refresh then.
* ``startup_cold_seconds``, ``startup_partial_seconds``, ``startup_inprocess_seconds``: a build of nothing that parses the project anew, that
  takes over what it parsed before, and in a process that has imported dbt and holds the manifest.
* ``peak_memory_gb``: dbt and all of Postgres together.

``--data DIR`` cleans real corpora first, see ``benchmarks/cleaning_corpora.py``.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil
import psycopg

from benchmarks import cleaning_corpora
from benchmarks.cleaning_posts import AUTHOR, Writer, content_hash, post_id, write
from benchmarks.frame import PeakMemory, Result, run, say
from twin_assets.cleaning import project
from twin_assets.cleaning.annotate import annotator, parse_regions
from twin_assets.cleaning.annotations import sync_annotations
from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.roles import Role

REFERENCE = {"full_seconds": 12, "naive_seconds": 46, "incremental_seconds_100k": 3, "peak_memory_gb": 1}
"""What was asked for, and what the naive way took on another machine."""
NAIVE = Path(__file__).with_suffix("").with_name("cleaning_naive.sql")
EDITED, NEW, DELETED = 80, 10, 10
NOTHING = ["--select", "no_model_has_this_name"]
MARTS = ("cleaned_documents", "dropped_documents", "dropped_blocks")


@dataclass
class Bench:
    """One warehouse, and what is done to it."""

    settings: Settings
    database: Database
    writer: Writer = field(default_factory=Writer)
    rounds: int = 0

    def build(self, *arguments: str, author: str = AUTHOR) -> float:
        """Seconds of one ``dbt build`` of an author, as the asset runs it, or of all where it is empty."""
        command = ["build", "--exclude-resource-type", "unit_test", "--vars", self.variables(author), *arguments]
        return timed(lambda: project.run_dbt(self.settings_of(author), command, self.database.url))

    def variables(self, author: str = AUTHOR) -> str:
        """What the asset tells dbt."""
        return json.dumps({"author": author, "changed_only": bool(author)})

    def settings_of(self, author: str) -> Settings:
        """With a folder of its own for what dbt writes: other variables in the same one throw its partial parse away."""
        return self.settings.model_copy(update={"home": self.settings.home / (author or "all")})

    def full(self, *arguments: str) -> float:
        """Seconds of a full build of all authors."""
        return self.build("--full-refresh", *arguments, author="")

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A transaction."""
        with psycopg.connect(self.database.url) as connection:
            yield connection

    def fill(self, first: int, last: int) -> None:
        """Writes the posts from one number to another."""
        with self.connection() as connection:
            write(connection, map(self.writer.post, range(first, last)))
        self.analyze()

    def analyze(self) -> None:
        """As autovacuum would, a minute later."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute("vacuum analyze ingest.raw_posts")

    def annotate(self, *authors: str) -> float:
        """Seconds of ``cleaning/annotations`` of some authors, or of all."""
        regions = parse_regions(self.settings.phone_regions)
        return timed(lambda: [sync_annotations(self.database, author, regions) for author in authors or self.authors()])

    def authors(self) -> list[str]:
        """Whose posts there are."""
        with self.connection() as connection:
            return [author for (author,) in connection.execute("select distinct author from ingest.raw_posts order by author")]

    def annotate_plainly(self) -> None:
        """Writes annotations that found nothing, where there are none: looking at all of a large corpus takes too long here."""
        with self.connection() as connection:
            connection.execute(
                """
                insert into cleaning.annotations (document_id, author, content_hash, annotator, language, masks, repetition, machine_markers)
                select id, author, content_hash, %s, 'en', '[]', 0, 0 from ingest.raw_posts where state = 'kept' and deleted_at is null
                on conflict do nothing
                """,
                [annotator(parse_regions(self.settings.phone_regions))],
            )

    def change(self, posts: int) -> None:
        """Edits, adds and deletes posts of the author; every round others, and what the small publication repeats changes sides."""
        self.rounds += 1
        with self.connection() as connection:
            numbers = _living(connection, posts, EDITED + DELETED, self.rounds)
            for number in numbers[:EDITED]:
                _edit(connection, number, self.writer)
            connection.execute(
                "update ingest.raw_posts set deleted_at = now(), updated_at = now() where id = any(%s)",
                [[post_id(number) for number in numbers[EDITED:]]],
            )
            first = 10_000_000 + self.rounds * NEW
            small = self.writer.small_post(first, ends_alike=True)
            write(connection, [small, *({**self.writer.post(first + place), "author": AUTHOR} for place in range(1, NEW))])
            connection.execute("update ingest.raw_posts set deleted_at = now() where id = %s", [post_id(first - NEW)])

    def fingerprint(self) -> list[tuple[object, ...]]:
        """Rows and a hash over all columns of every mart."""
        with self.connection() as connection:
            return [
                connection.execute(
                    f"select count(*), md5(string_agg(line, '' order by line)) from (select md5(t::text) as line from cleaning.{mart} t)"
                ).fetchone()
                or ()
                for mart in MARTS
            ]


def measure(arguments: argparse.Namespace) -> Result:
    """Measures real corpora where they are given, then the time that invented ones take."""
    result = Result({}, dict(REFERENCE))
    with _bench(arguments.work) as bench:
        if arguments.data:
            cleaning_corpora.measure(
                bench.database, lambda: (bench.annotate(), bench.full("--exclude-resource-type", "test")), arguments, result
            )
            with bench.connection() as connection:
                connection.execute("truncate ingest.raw_posts cascade")
        if arguments.posts:
            _time(bench, arguments, result)
    return result


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = perf_counter()
    work()
    return perf_counter() - started


def _time(bench: Bench, arguments: argparse.Namespace, result: Result) -> None:
    figures, posts, large, repeats = result.figures, arguments.posts, arguments.large, arguments.repeats
    with PeakMemory(lambda: _processes(bench.settings)).watching() as memory:
        say(f"{posts} posts: writing")
        bench.fill(0, posts)
        figures["posts"] = posts
        figures["words"] = _words(bench)
        figures["annotate_seconds"] = round(bench.annotate(), 1)
        figures["naive_seconds"] = round(_naive(bench), 1)
        startup = _startup(bench, repeats, figures)
        figures["full_seconds"] = _median("full build", repeats, bench.full, startup)
        result.details += _slowest(bench, "", f"full build of {posts}")
        figures["full_models_seconds"] = _median("models alone", repeats, lambda: bench.full("--exclude-resource-type", "test"), startup)
        bench.build()
        figures["annotate_changed_seconds_10k"], figures["incremental_seconds_10k"] = _changes(bench, posts, repeats, startup)
        result.details += _slowest(bench, AUTHOR, f"100 changes among {posts}")
        figures["full_refresh_equal"] = _equal(bench)
        if large > posts:
            say(f"{large} posts: writing")
            bench.fill(posts, large)
            bench.annotate_plainly()
            figures["full_models_seconds_100k"] = _median("models alone", 1, lambda: bench.full("--exclude-resource-type", "test"), startup)
            bench.build()
            figures["annotate_changed_seconds_100k"], figures["incremental_seconds_100k"] = _changes(bench, large, repeats, startup)
            result.details += _slowest(bench, AUTHOR, f"100 changes among {large}")
            figures["noop_seconds_100k"] = _median("nothing changed", repeats, bench.build, startup)
    figures["peak_memory_gb"] = round(memory.peak_gb(), 2)
    figures["startup_inprocess_seconds"] = _in_process(bench, repeats)


def _median(what: str, repeats: int, work: Callable[[], float], startup: float) -> float:
    seconds = []
    for _ in range(repeats):
        seconds.append(work() - startup)
        say(f"{what}: {seconds[-1]:.1f} s beyond start-up")
    return round(median(seconds), 2)


def _startup(bench: Bench, repeats: int, figures: dict[str, float | int | None]) -> float:
    """The figures of start-up, and the one that the others are beyond."""
    for author in (AUTHOR, ""):
        bench.build(*NOTHING, author=author)
    partial = median(bench.build(*NOTHING) for _ in range(repeats))
    figures["startup_seconds"] = figures["startup_partial_seconds"] = round(partial, 2)
    figures["startup_cold_seconds"] = round(median(bench.build("--no-partial-parse", *NOTHING) for _ in range(repeats)), 2)
    say(f"start-up: {figures['startup_partial_seconds']} s, parsing anew {figures['startup_cold_seconds']} s")
    return partial


def _in_process(bench: Bench, repeats: int) -> float:
    """A build of nothing in a process that has the manifest already."""
    from dbt.cli.main import dbtRunner

    folder = str(bench.settings.home / "in process")
    paths = ["--project-dir", str(project.PROJECT), "--profiles-dir", str(project.PROJECT), "--target-path", folder]
    variables = ["--vars", bench.variables()]
    quiet = ["--quiet", "--log-path", folder]
    with project.applied(project.environment(bench.database.url)):
        parsed = dbtRunner().invoke([*quiet, "parse", *paths, *variables]).result
        runner = dbtRunner(manifest=parsed)  # pyright: ignore  # what parsing results in
        return round(median(timed(lambda: runner.invoke([*quiet, "build", *paths, *variables, *NOTHING])) for _ in range(repeats)), 2)


def _naive(bench: Bench) -> float:
    say("the naive way")
    with psycopg.connect(bench.database.url, autocommit=True) as connection:
        seconds = timed(lambda: connection.execute(NAIVE.read_text()))  # pyright: ignore
        connection.execute("drop schema naive cascade")
    say(f"the naive way: {seconds:.1f} s")
    return seconds


def _changes(bench: Bench, posts: int, repeats: int, startup: float) -> tuple[float, float]:
    """Seconds of the annotations and of the build, after changes."""
    annotated = []

    def changed() -> float:
        bench.change(posts)
        annotated.append(bench.annotate(AUTHOR))
        return bench.build()

    built = _median(f"{EDITED + NEW + DELETED} changes among {posts}", repeats, changed, startup)
    return round(median(annotated), 2), built


def _equal(bench: Bench) -> int:
    before = bench.fingerprint()
    bench.full("--exclude-resource-type", "test")
    after = bench.fingerprint()
    say(f"marts after changes and after a full refresh: {before} {after}")
    return int(before == after)


def _living(connection: psycopg.Connection, posts: int, count: int, seed: int) -> list[int]:
    """Numbers of posts of the author that are learned from, drawn by chance, none of the small publication."""
    rows = connection.execute(
        "select origin::int from ingest.raw_posts where author = %s and state = 'kept' and deleted_at is null and origin::int "
        "between 6 and %s order by md5(origin || %s) limit %s",
        [AUTHOR, posts - 1, str(seed), count],
    )
    return [number for (number,) in rows]


def _edit(connection: psycopg.Connection, number: int, writer: Writer) -> None:
    row = connection.execute("select title, blocks from ingest.raw_posts where id = %s", [post_id(number)]).fetchone()
    if row is None:
        raise ValueError(f"there is no post {number}")
    content = json.dumps([*row[1], writer.paragraph(number)], ensure_ascii=False)
    connection.execute(
        "update ingest.raw_posts set blocks = %s, content_hash = %s, revision = revision + 1, updated_at = now() where id = %s",
        [content, content_hash(row[0], content), post_id(number)],
    )


def _words(bench: Bench) -> int:
    with bench.connection() as connection:
        row = connection.execute("select sum(words) from ingest.raw_posts").fetchone()
    return row[0] if row else 0


def _slowest(bench: Bench, author: str, what: str) -> list[str]:
    """The nodes of the last build that took longest, as a table."""
    path = project.target(bench.settings_of(author)) / "run_results.json"
    results = json.loads(path.read_text())
    nodes = {node["unique_id"].split(".", 2)[2]: node["execution_time"] for node in results["results"]}
    longest = sorted(nodes, key=nodes.__getitem__, reverse=True)[:12]
    rows = [f"| {name} | {nodes[name]:.2f} |" for name in longest]
    every = f"| all {len(nodes)} nodes, one after the other | {sum(nodes.values()):.2f} |"
    return ["", f"| {what} | seconds |", "|---|---|", *rows, every, f"| the build, with two at a time | {results['elapsed_time']:.2f} |"]


def _processes(settings: Settings) -> list[psutil.Process]:
    """dbt, and the server with all its backends."""
    data = str(EmbeddedPostgres(settings.postgres_home).data)
    servers = [process for process in psutil.process_iter(["name", "cwd"]) if process.info["name"] == "postgres"]
    return [*psutil.Process().children(recursive=True), *(server for server in servers if server.info["cwd"] == data)]


@contextmanager
def _bench(work: Path) -> Iterator[Bench]:
    """A home with a Postgres of its own, of which nothing is left."""
    home = Path(tempfile.mkdtemp(prefix="twin-cleaning-", dir=work))
    home.chmod(0o755)
    settings = Settings(home=home, database_url=None, _env_file=None)  # pyright: ignore  # nothing of the user's is touched
    server = EmbeddedPostgres(settings.postgres_home)
    try:
        database = open_database(settings, Role.OWNER)
        yield Bench(settings, database)
        database.engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--posts", type=int, default=10_000, help="posts of the full build; 0 leaves the times out")
    parser.add_argument("--large", type=int, default=100_000, help="posts among which changes are looked for; 0 leaves this out")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of which the median is taken")
    parser.add_argument("--removals", type=int, default=0, help="print so many removals of the real corpora, drawn by chance")
    parser.add_argument("--seed", type=int, default=1, help="of the removals that are drawn")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), help="where the data home is made")


if __name__ == "__main__":
    run("cleaning", measure, _arguments)
