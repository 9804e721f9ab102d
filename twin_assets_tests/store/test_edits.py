"""Drafts and what was published instead, in the real database."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.edits import Edit, edits_of, save_edit
from twin_assets.store.registry import Registry

EDIT = Edit("ada", "brine", "blog", 80, ((UUID(int=1), "salt"), (None, "a page")), "A draft.", "Mine.", "v1")


def test_what_was_published_last_counts(database: Database, settings: Settings) -> None:
    Registry(database).add_author("ada")
    Registry(database).add_author("bob")
    downstream = open_database(settings)
    others = [
        replace(EDIT, draft="Another."),
        replace(EDIT, prompt="salt", platform=None, words=None, notes=()),
        replace(EDIT, author="bob"),
    ]
    for edit in [EDIT, *others, replace(EDIT, published="Mine, again.")]:
        save_edit(downstream, edit)
    found = edits_of(downstream, "ada")
    assert sorted(found, key=lambda edit: edit.id) == found
    assert set(found) == {replace(EDIT, published="Mine, again."), *others[:2]}
    assert edits_of(downstream, "bob") == [others[2]]


def test_nobodys_edit_is_not_kept(database: Database) -> None:
    with pytest.raises(IntegrityError):
        save_edit(database, EDIT)
