"""A fault for every asset check of the project: what it must not let pass.

Each poison is seen by the check that it stands under, by those that it names besides, and by no other.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twin_assets.cleaning.quality import FAMILIES
from twin_assets.features import golden
from twin_assets.training.dataset import Dataset, Example, load_dataset, write_dataset
from twin_assets.training.preferences import Pair
from twin_assets_tests.checks.world import (
    AUTHOR,
    HEALTHY_REPORT,
    Poison,
    World,
    healthy_preferences,
    healthy_texts,
    record_preferences,
    record_texts,
    sql,
)

ACCOUNTS = ("cleaning/dropped_documents:every_post_accounted_for", "cleaning/dropped_documents:every_post_is_accounted_for")
SPLIT, ENOUGH = "training/instruct_dataset:split_by_document_and_date", "training/instruct_dataset:enough_to_learn_from"
VERBATIM = "training/instruct_dataset:answers_are_verbatim"
CHOSEN, IN_NO_PAIR, REJECTED, PAIRS = (
    f"training/preference_dataset:{name}"
    for name in ("chosen_is_verbatim", "held_out_is_in_no_pair", "rejected_is_not_the_authors", "enough_pairs")
)
OWN_WORDS = "cleaning/cleaned_documents:own_words_only"
PUNCTUATION = "cleaning/cleaned_documents:punctuation_is_kept"

KINDS = ("post", "article", "note", "comment", "code")
STATES = ("kept", "shared", "draft", "partial", "foreign", "excluded", "deleted", "empty", "duplicate", "unreadable")
REASONS = (*STATES[1:], "copy", "not_annotated", "after_cutoff", "too_long", "repetitive", "language", "gone")
BLOCKS = ("paragraph", "heading", "list", "quote", "code", "table", "caption", "embed")

ONE = "(select document_id from cleaning.cleaned_documents where author = :author and {} order by document_id limit 1)"
A_DOCUMENT = ONE.format("voice_words > 80")
AN_UNTOUCHED_ONE = ONE.format(
    "boilerplate_lines = 0 and text_for_voice like '%''%''%,%,%' and text_for_voice like E'%\\n\\n%' and document_id in "
    "(select document_id from cleaning.annotations where masks = '[]')"
)
A_QUOTING_ONE = """(
    select cleaned.document_id
    from cleaning.cleaned_documents as cleaned
    join ingest.raw_posts as raw on raw.id = cleaned.document_id, jsonb_array_elements(raw.blocks) as block
    where cleaned.author = :author and block ->> 'type' in ('quote', 'code') and length(block ->> 'text') >= 40
    order by cleaned.document_id limit 1
)"""
A_QUOTE = f"""(
    select block ->> 'text' from ingest.raw_posts, jsonb_array_elements(blocks) as block
    where id = {A_QUOTING_ONE} and block ->> 'type' in ('quote', 'code') and length(block ->> 'text') >= 40 limit 1
)"""
A_DROPPED_ONE = "(select document_id from cleaning.dropped_documents where author = :author order by document_id limit 1)"


def instead(view: str, query: str) -> Poison:
    """Something else where a view was; ``real`` is the view as it was."""

    def put(world: World) -> None:
        world.ddl(f"alter view cleaning.{view} rename to real")
        world.ddl(f"create view cleaning.{view} as {query}")

    return Poison(f"{view}: {query}", put)


def duplicated_post(world: World) -> None:
    world.ddl("alter table ingest.raw_posts drop constraint raw_posts_pkey cascade")
    world.sql(f"insert into ingest.raw_posts select * from ingest.raw_posts where id = {A_DROPPED_ONE}")


def duplicated_document(world: World) -> None:
    world.ddl("alter table cleaning.cleaned_documents drop constraint cleaned_documents_pkey cascade")
    world.sql(f"insert into cleaning.cleaned_documents select * from cleaning.cleaned_documents where document_id = {A_DOCUMENT}")


def search_finds_nothing(world: World) -> None:
    newest = world.registry.latest_artifact(AUTHOR, golden.KIND)
    assert newest is not None
    figures = golden.load(world.artifacts, newest)
    lost = tuple(dataclasses.replace(outcome, rank=None) for outcome in figures.outcomes)
    golden.record(world.registry, world.artifacts, AUTHOR, dataclasses.replace(figures, outcomes=lost))


def another_dataset(change: Callable[[Dataset], Dataset]) -> Callable[[World], None]:
    def put(world: World) -> None:
        artifact = world.registry.latest_artifact(AUTHOR, "instruct_dataset")
        assert artifact is not None
        write_dataset(change(load_dataset(world.artifacts.local(artifact.uri))), world.folder)
        world.registry.record_artifact(AUTHOR, "instruct_dataset", "poisoned", str(world.folder))

    return put


def leaky(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, train=[*dataset.train, dataset.held_out[0]])


def reworded(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, train=[dataclasses.replace(one, answer=f"{one.answer} Furthermore.") for one in dataset.train])


def of_one_document(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, train=[one for one in dataset.train if one.document_id == dataset.train[0].document_id])


def a_tenth(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, train=sorted(dataset.train, key=lambda one: -one.words)[: len(dataset.train) // 10])


def turned_around(dataset: Dataset) -> Dataset:
    oldest = min(one.published_at for one in dataset.train if one.published_at)
    return dataclasses.replace(dataset, held_out=[dataclasses.replace(one, published_at=oldest) for one in dataset.held_out])


def cut_in_two(dataset: Dataset) -> Dataset:
    document = dataset.train[0].document_id
    return dataclasses.replace(dataset, held_out=[dataclasses.replace(dataset.held_out[0], document_id=document), *dataset.held_out[1:]])


def all_of_it(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, train=[*dataset.train, *dataset.held_out], held_out=[])


def asking_with(label: str, words: int) -> Callable[[Dataset], Dataset]:
    """A prompt shows so many words of a held-out passage."""

    def put(dataset: Dataset) -> Dataset:
        first, told = dataset.train[0], " ".join(dataset.held_out[0].answer.split()[:words])
        return replace(dataset, train=[replace(first, messages=showing(first.messages, f"{label} {told}")), *dataset.train[1:]])

    return put


def showing(messages: list[dict[str, str]], line: str) -> list[dict[str, str]]:
    """A conversation whose prompt has another line."""
    return [{**turn, "content": f"{turn['content']}\n{line}"} if turn["role"] == "user" else turn for turn in messages]


def other_pairs(change: Callable[[Pair, Example], Pair]) -> Callable[[World], None]:
    """Changes every pair; beside it is given a held-out example."""

    def put(world: World) -> None:
        artifact = world.registry.latest_artifact(AUTHOR, "instruct_dataset")
        assert artifact is not None
        held_out = load_dataset(world.artifacts.local(artifact.uri)).held_out[0]
        healthy = healthy_preferences(world.registry, world.artifacts)
        changed = replace(healthy, pairs=[change(pair, held_out) for pair in healthy.pairs])
        record_preferences(world.registry, world.artifacts, changed)

    return put


def pairs(most: int) -> Callable[[World], None]:
    """Leaves so many."""

    def put(world: World) -> None:
        healthy = healthy_preferences(world.registry, world.artifacts)
        record_preferences(world.registry, world.artifacts, replace(healthy, pairs=healthy.pairs[:most]))

    return put


def another_version_answers(world: World) -> None:
    newest = world.registry.latest_model(AUTHOR)
    assert newest is not None
    world.registry.record_model(dataclasses.replace(newest, version="another"))
    world.registry.record_artifact(AUTHOR, "eval_report", "of another", "/nowhere", {**HEALTHY_REPORT, "model_version": "another"})
    world.change_deployment(model_version="another")


INGEST = {
    "source_unique_ingest_raw_posts_id": [
        Poison(
            "a post stands there twice",
            duplicated_post,
            [*ACCOUNTS, "cleaning/stg_posts:every_post_staged_once"],
        )
    ],
    f"source_accepted_values_ingest_raw_posts_state__{'__'.join(STATES)}": [
        Poison("a state that nobody knows", sql(f"update ingest.raw_posts set state = 'perhaps' where id = {A_DROPPED_ONE}"))
    ],
    f"source_accepted_values_ingest_raw_posts_kind__{'__'.join(KINDS)}": [
        Poison("a kind that nobody knows", sql(f"update ingest.raw_posts set kind = 'poem' where id = {A_DROPPED_ONE}"))
    ],
    "own_posts_present": [
        Poison(
            "all was taken for somebody else's", sql("update ingest.raw_posts set state = 'foreign' where author = :author"), [OWN_WORDS]
        )
    ],
    "every_source_read": [
        Poison(
            "a login page instead of posts",
            sql(f"update ingest.raw_posts set state = 'unreadable' where author = :author and id <> {A_DOCUMENT}"),
            [OWN_WORDS],
        )
    ],
    "every_source_answered": [
        Poison("a source asks for a login", sql("update ingest.reads set outcome = 'needs_login' where author = :author"))
    ],
}

STAGING = {
    "annotations:every_post_annotated": [
        Poison("nobody looked at a post", sql(f"delete from cleaning.annotations where document_id = {A_DOCUMENT}")),
        Poison("a post was edited since", sql(f"update ingest.raw_posts set content_hash = 'edited' where id = {A_DOCUMENT}")),
    ],
    **{
        f"{family}:family_is_its_own": [
            instead(family, f"select gen_random_uuid() as document_id, '{AUTHOR}'::text as author, ''::text as publication")
        ]
        for family in FAMILIES
    },
    "stg_posts:every_post_staged_once": [
        instead("stg_posts", "select * from cleaning.real where platform <> 'linkedin'"),
        instead("stg_posts", "table cleaning.real union all table cleaning.real"),
    ],
}
STAGING["stg_code:family_is_its_own"].append(
    dataclasses.replace(
        instead("stg_code", "select document_id, author, publication from cleaning.stg_social"),
        also=["cleaning/stg_social:family_is_its_own"],
    )
)

INTERMEDIATE = {
    f"int_posts:accepted_values_int_posts_reason__{'__'.join(REASONS)}": [
        Poison("a reason that nobody knows", sql(f"update cleaning.int_posts set reason = 'whim' where document_id = {A_DROPPED_ONE}"))
    ],
    f"int_blocks:accepted_values_int_blocks_block_type__{'__'.join(BLOCKS)}": [
        Poison(
            "a block of a type that no text has a place for",
            sql(f"update cleaning.int_blocks set block_type = 'stanza' where document_id = {A_DOCUMENT} and position = 1"),
        )
    ],
    "int_repeated_blocks:relationships_int_repeated_blocks_block_hash__block_hash__ref_int_blocks_": [
        Poison(
            "a count of a block that is gone",
            sql(
                "insert into cleaning.int_repeated_blocks (author, publication, block_hash, documents, is_boilerplate) "
                "values (:author, 'blog', gen_random_uuid(), 9, true)"
            ),
        )
    ],
    "int_documents:no_text_is_dropped_as_none": [
        Poison("a text got lost on the way", sql(f"update cleaning.int_documents set reason = 'no_text' where document_id = {A_DOCUMENT}"))
    ],
}


def voice(change: str, document: str = AN_UNTOUCHED_ONE) -> Callable[[World], None]:
    """Changes what the voice is learned from."""
    return sql(f"update cleaning.cleaned_documents set text_for_voice = {change} where document_id = {document}")


CLEANED = {
    "unique_cleaned_documents_document_id": [
        Poison(
            "a document stands there twice",
            duplicated_document,
            [
                *ACCOUNTS,
                *(f"cleaning/cleaned_documents:{name}" for name in ("apostrophes_survive", "paragraphs_survive", "punctuation_is_kept")),
            ],
        )
    ],
    "relationships_cleaned_documents_document_id__id__source_ingest_raw_posts_": [
        Poison(
            "a document whose post is no more",
            sql(f"delete from ingest.raw_posts where id = {A_DOCUMENT}"),
            [*ACCOUNTS, OWN_WORDS],
        )
    ],
    f"accepted_values_cleaned_documents_kind__{'__'.join(KINDS)}": [
        Poison(
            "a kind that nobody knows",
            sql(f"update cleaning.cleaned_documents set kind = 'poem' where document_id = {A_DOCUMENT}"),
            ["cleaning/documents:view_shows_its_kinds"],
        )
    ],
    "documents_present": [
        Poison(
            "nothing is left of an author",
            sql("delete from cleaning.cleaned_documents where author = :author"),
            [*ACCOUNTS, VERBATIM, CHOSEN],
        )
    ],
    "no_boilerplate_survives": [
        Poison(
            "a button of the page in the voice",
            voice(r"text_for_voice || E'\n\nShare this post'"),
            ["cleaning/cleaned_documents:no_interface_lines"],
        )
    ],
    "no_interface_lines": [Poison("a button that the rules of cleaning do not know", voice(r"text_for_voice || E'\n\nSign in'"))],
    "apostrophes_survive": [Poison("apostrophes are lost", voice("replace(text_for_voice, '''', '')"), [PUNCTUATION])],
    "punctuation_is_kept": [Poison("a single comma is lost", voice("regexp_replace(text_for_voice, ',', '')"))],
    "paragraphs_survive": [Poison("paragraphs run together", voice(r"replace(text_for_voice, E'\n\n', ' ')"))],
    "own_words_only": [
        Poison("a quote in the voice", voice(f"text_for_voice || E'\\n\\n' || {A_QUOTE}", A_QUOTING_ONE)),
        Poison("a guest's post", sql(f"update ingest.raw_posts set state = 'foreign' where id = {A_DOCUMENT}")),
        Poison("a copy of another", sql(f"update ingest.raw_posts set work = gen_random_uuid() where id = {A_DOCUMENT}")),
    ],
}

MARTS = {
    "dropped_documents:every_post_accounted_for": [
        Poison("dropped without a reason", sql(f"update cleaning.dropped_documents set reason = '' where document_id = {A_DROPPED_ONE}"))
    ],
    "dropped_documents:every_post_is_accounted_for": [
        Poison("dropped without a trace", sql(f"delete from cleaning.dropped_documents where document_id = {A_DROPPED_ONE}"), ACCOUNTS[:1])
    ],
    "dropped_blocks:every_removal_says_why": [
        instead("dropped_blocks", "select document_id, lane, null::text as reason, removed_text from cleaning.real"),
        instead("dropped_blocks", "select document_id, lane, reason, removed_text from cleaning.real where false"),
    ],
    "documents:view_shows_its_kinds": [instead("documents", "select * from cleaning.real where kind <> 'post'")],
    "posts:view_shows_its_kinds": [instead("posts", "select * from cleaning.documents")],
    "articles:view_shows_its_kinds": [
        instead("articles", "select document_id, author, title, text_for_rag as text_for_voice, text_for_rag from cleaning.real")
    ],
    "code:view_shows_its_kinds": [instead("code", "select * from cleaning.articles")],
}

FEATURES = {
    "chunks:chunks_cover_documents": [
        Poison("a document without chunks", sql(f"delete from features.chunks where document_id = {A_DOCUMENT}"))
    ],
    "embeddings:every_chunk_embedded": [
        Poison(
            "a chunk without a vector",
            sql(f"delete from features.embeddings where chunk_id in (select id from features.chunks where document_id = {A_DOCUMENT})"),
        ),
        Poison("vectors that are not of unit length", sql("update features.embeddings set embedding = embedding + embedding")),
    ],
    "golden_set:search_has_not_regressed": [Poison("search finds nothing any more", search_finds_nothing)],
}

VOICE = {
    "author_is_recognised": [
        Poison("the author's own text is taken for somebody else's", lambda world: world.change_artifact("voice_profile", ceiling=0.2))
    ],
    "instrument_knows_people_apart": [
        Poison("strangers are put before the author", lambda world: world.change_artifact("voice_profile", auc=0.6)),
        Poison("nobody measured it", lambda world: world.change_artifact("voice_profile", auc=None)),
    ],
}

TRAINING = {
    "instruct_dataset:held_out_is_unseen": [
        Poison("a held-out passage is trained on", another_dataset(leaky), [SPLIT]),
        Poison("nothing is held out", another_dataset(all_of_it), [IN_NO_PAIR]),
        Poison("a prompt has a note from a held-out passage", another_dataset(asking_with("Notes from my earlier writing:\n-", 40))),
        Poison("a prompt goes on from a held-out passage", another_dataset(asking_with("It goes so far:", 60))),
        Poison("a prompt is about a held-out sentence", another_dataset(asking_with("Write a blog passage about:", 14))),
    ],
    "instruct_dataset:answers_are_verbatim": [Poison("answers that another model wrote", another_dataset(reworded))],
    "instruct_dataset:key_terms_are_present": [Poison("one subject of many", another_dataset(of_one_document), [ENOUGH])],
    "instruct_dataset:enough_to_learn_from": [Poison("hardly anything", another_dataset(a_tenth))],
    "instruct_dataset:split_by_document_and_date": [
        Poison("the oldest is held out", another_dataset(turned_around)),
        Poison("a document on both sides", another_dataset(cut_in_two)),
    ],
    "preference_dataset:chosen_is_verbatim": [
        Poison("chosen words that another model wrote", other_pairs(lambda pair, _: replace(pair, chosen=f"{pair.chosen} Furthermore.")))
    ],
    "preference_dataset:held_out_is_in_no_pair": [
        Poison(
            "a held-out passage is preferred",
            other_pairs(lambda pair, held_out: replace(pair, chosen=held_out.answer, document_id=held_out.document_id)),
        ),
        Poison(
            "a held-out passage is rejected",
            other_pairs(lambda pair, held_out: replace(pair, rejected=held_out.answer)),
            [REJECTED],
        ),
        Poison(
            "a prompt has a note from a held-out passage",
            other_pairs(lambda pair, held_out: replace(pair, messages=showing(pair.messages, f"- {held_out.answer[:300]}"))),
        ),
    ],
    "preference_dataset:rejected_is_not_the_authors": [
        Poison("the chosen words are rejected", other_pairs(lambda pair, _: replace(pair, rejected=pair.chosen.upper()))),
        Poison("a draft that nobody edited", other_pairs(lambda pair, _: replace(pair, rejected=pair.chosen, source="edit"))),
        Poison("there are no pairs", pairs(0), [CHOSEN, PAIRS]),
    ],
    "preference_dataset:enough_pairs": [Poison("a handful of pairs", pairs(9))],
    "adapter_weights:loss_fell": [
        Poison("the loss rose", lambda world: world.change_model(loss_last=5.0)),
        Poison("it learned by heart", lambda world: world.change_model(held_out_loss_last=4.3)),
        Poison("no losses", lambda world: world.change_model(losses=[])),
    ],
}


def report(**figures: Any) -> Callable[[World], None]:
    """Changes figures of the evaluation report."""
    return lambda world: world.change_artifact("eval_report", **figures)


def texts(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Callable[[World], None]:
    """Changes what the twin wrote."""

    def put(world: World) -> None:
        healthy = healthy_texts()
        record_texts(
            world.registry, world.artifacts, dataclasses.replace(healthy, texts={**healthy.texts, "twin": change(healthy.texts["twin"])})
        )

    return put


def no_texts(world: World) -> None:
    world.registry.record_artifact(AUTHOR, "eval_texts", "gone", str(world.folder / "gone.jsonl"))


EVALUATION = {
    "eval_texts:every_rung_wrote": [
        Poison("a rung broke off", texts(lambda written: written[:-1])),
        Poison("a rung wrote nothing, twice", texts(lambda written: ("", " \n", *written[2:]))),
        Poison("a rung hardly began, twice", texts(lambda written: ("The gauge on the",) * 2 + written[2:])),
        Poison("the texts are gone", no_texts),
    ],
    "eval_report:twin_beats_base": [
        Poison("the training taught nothing", report(voice_twin=0.2, voice_gain=0.0, voice_gain_low=-0.2, voice_gain_high=0.2)),
        Poison(
            "the evaluation is of another model",
            report(model_version="another"),
            [
                "evaluation/eval_report:no_memorised_passages",
                "evaluation/eval_report:slop_like_the_authors",
                "evaluation/eval_report:content_not_worse",
                "evaluation/eval_report:not_worse_than_deployed",
            ],
        ),
    ],
    "eval_report:no_memorised_passages": [Poison("the twin recites", report(memorised_longest=60, verbatim_longest=60))],
    "eval_report:slop_like_the_authors": [Poison("the twin writes like a machine", report(slop_twins=9))],
    "eval_report:content_not_worse": [Poison("the twin lost the subject", report(content_twin_rag=0.4))],
    "eval_report:not_worse_than_deployed": [Poison("what serves now is better", report(deployed_voice=1.0))],
}

SERVING = {
    "endpoint_healthy": [
        Poison("nothing answers", lambda world: world.change_deployment(url="http://127.0.0.1:9/v1")),
        Poison("another version answers", another_version_answers),
    ],
}

POISONS: dict[str, list[Poison]] = {
    **{f"ingest/raw_posts:{check}": poisons for check, poisons in INGEST.items()},
    **{f"cleaning/{check}": poisons for check, poisons in {**STAGING, **INTERMEDIATE, **MARTS}.items()},
    **{f"cleaning/cleaned_documents:{check}": poisons for check, poisons in CLEANED.items()},
    **{f"features/{check}": poisons for check, poisons in FEATURES.items()},
    **{f"voice/voice_profile:{check}": poisons for check, poisons in VOICE.items()},
    **{f"training/{check}": poisons for check, poisons in TRAINING.items()},
    **{f"evaluation/{check}": poisons for check, poisons in EVALUATION.items()},
    **{f"serving/tgi_deployment:{check}": poisons for check, poisons in SERVING.items()},
}
