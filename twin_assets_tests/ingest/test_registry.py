"""Who is registered with which sources."""

from twin_assets.ingest.registry import register
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry


def test_to_register_names_all_the_sources_and_nobody_elses(database: Database, settings: Settings) -> None:
    register("joe", ["/posts/joe"], settings)
    register("jane", ["/old/blog", "/posts/jane"], settings)
    registry = register("jane", ["/posts/jane", "/new/blog"], settings)
    assert registry.sources("jane") == ["/posts/jane", "/new/blog"]
    assert Registry(database).sources("joe") == ["/posts/joe"]
    assert Registry(database).authors() == ["jane", "joe"]
