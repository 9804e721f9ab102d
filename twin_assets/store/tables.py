"""The tables that the stages share. They are the contract: migrations follow this file, and a test holds the two together."""

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

metadata = MetaData()

SCHEMAS = ("ingest", "cleaning", "features", "registry")


def _created() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()"))


authors = Table(
    "authors",
    metadata,
    Column("name", Text, primary_key=True),
    _created(),
    Column(
        "names", JSONB, nullable=False, server_default=text("'[]'::jsonb"), comment="Names and handles that the author publishes under."
    ),
    Column(
        "thresholds",
        JSONB,
        nullable=False,
        server_default=text("'{}'::jsonb"),
        comment="What of the gate's thresholds differs from the defaults.",
    ),
    Column(
        "overrides", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="What a training does otherwise than its recipe."
    ),
    schema="registry",
    comment="One row per author: a partition of the asset graph.",
)

sources = Table(
    "sources",
    metadata,
    Column("author", Text, ForeignKey("registry.authors.name", ondelete="CASCADE"), primary_key=True),
    Column("location", Text, primary_key=True, comment="A path or a URL."),
    _created(),
    Column("until", DateTime(timezone=True), comment="Writing from this moment on is not learned from."),
    Column("ai_assisted", Boolean, nullable=False, server_default=text("false"), comment="Nothing of this source is learned from."),
    Column("schedule", Text, comment="When a source on the web is read, as cron in UTC; empty is the setting's."),
    schema="registry",
    comment="Where an author's writing is read from.",
)

raw_posts = Table(
    "raw_posts",
    metadata,
    Column("id", Uuid, primary_key=True, comment="uuid5 of author and the post's own key."),
    Column("author", Text, nullable=False),
    Column("source", Text, nullable=False, comment="The location that the post was read from."),
    Column("origin", Text, nullable=False, comment="File, row or entry inside the source."),
    Column("platform", Text, nullable=False, comment="blog, linkedin, medium, substack, feed, web, ..."),
    Column("kind", Text, nullable=False, comment="post, article, note, comment or code."),
    Column("state", Text, nullable=False, comment="kept, or why not: shared, draft, partial, foreign, empty, duplicate, unreadable, ..."),
    Column("reason", Text, nullable=False, comment="The state in words, for a person."),
    Column("title", Text),
    Column("url", Text),
    Column("byline", Text),
    Column("published_at", DateTime(timezone=True)),
    Column("blocks", JSONB, nullable=False, comment='Typed blocks in order: [{"type", "text", "language"?, "level"?}].'),
    Column("words", Integer, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()"), comment="Last change of content or state."),
    Column("deleted_at", DateTime(timezone=True), comment="Tombstone: when the post was found gone from its source."),
    Column("canonical_url", Text, comment="Where the platform says the original stands, if not here."),
    Column("edited_at", DateTime(timezone=True), comment="Last edit, as the platform says."),
    Column("revision", Integer, nullable=False, server_default=text("1"), comment="Counts the changes of the content."),
    Column(
        "missing_since",
        DateTime(timezone=True),
        comment="When the post was first found gone; a tombstone needs a second time, a day later.",
    ),
    Column("work", Uuid, comment="The post that stands for this work; another one than itself: this is a cross-post of it."),
    Index("raw_posts_author", "author"),
    schema="ingest",
    comment="What was read from the sources, as typed blocks, with every row and file accounted for.",
)

pages = Table(
    "pages",
    metadata,
    Column("author", Text, primary_key=True),
    Column("url", Text, primary_key=True),
    Column("status", Integer, nullable=False),
    Column("final_url", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("content", LargeBinary, nullable=False, comment="The body, gzip."),
    Column("fetched_at", DateTime(timezone=True), nullable=False),
    schema="ingest",
    comment="Web answers, kept so that they are asked for again only when they changed, and once in a crawl.",
)

reads = Table(
    "reads",
    metadata,
    Column("author", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column(
        "started_at",
        DateTime(timezone=True),
        nullable=False,
        comment="When the crawl began; one that was killed is gone on with, not begun anew.",
    ),
    Column("finished_at", DateTime(timezone=True)),
    Column("outcome", Text, nullable=False, comment="ok, or why not: needs_login, challenge, gone, timeout, truncated, ..."),
    Column("detail", Text, nullable=False, comment="The outcome in words, for a person."),
    Column("requests", Integer, nullable=False, server_default=text("0")),
    Column(
        "reader",
        Text,
        nullable=False,
        server_default=text("''"),
        comment="What read it when it last could be read: a source that turns into another kind of thing is a broken one.",
    ),
    schema="ingest",
    comment="How the last read of each source ended.",
)

annotations = Table(
    "annotations",
    metadata,
    Column("document_id", Uuid, ForeignKey("ingest.raw_posts.id", ondelete="CASCADE"), primary_key=True),
    Column("author", Text, nullable=False),
    Column("content_hash", Text, nullable=False, comment="Of the raw post that was looked at."),
    Column("annotator", Text, nullable=False, comment="Version of what looked at it: its rules, its libraries and their settings."),
    Column("language", Text, comment="Of the own prose, ISO 639-1; empty where there is too little to tell."),
    Column(
        "masks",
        JSONB,
        nullable=False,
        comment='Where private things stand: [{"block", "start", "end", "placeholder"}]. Blocks count from 1, 0 is the title; '
        "characters from 0; in order, none overlapping another.",
    ),
    Column("repetition", Float(53), nullable=False, comment="Share of the own prose that repeats itself, 0 to 1."),
    Column("machine_markers", Integer, nullable=False, comment="Leftovers of chatbots. A flag, never a verdict."),
    Index("annotations_author", "author"),
    schema="cleaning",
    comment="What SQL cannot see of the kept posts.",
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", Uuid, primary_key=True, comment="uuid5 of document, chunker version, position and content hash."),
    Column("author", Text, nullable=False),
    Column("document_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    Column("starts", Integer, nullable=False, comment="First character in the document's text for retrieval."),
    Column("ends", Integer, nullable=False, comment="One behind the last character."),
    Column("text", Text, nullable=False),
    Column("headings", ARRAY(Text), nullable=False, comment="Path of headings, or class and function."),
    Column("context", Text, nullable=False, comment="What is embedded and searched with the text, and not shown: title, path, headings."),
    Column("words", Integer, nullable=False),
    Column("content_hash", Text, nullable=False, comment="Of context and text."),
    Column("chunker", Text, nullable=False, comment="Version of the splitter."),
    Column("title", Text),
    Column("url", Text),
    Column("kind", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("language", Text, comment="ISO 639-1; empty where there was too little to tell."),
    Column("published_at", DateTime(timezone=True)),
    Column("configuration", Text, nullable=False, comment="Text search configuration of the lexemes."),
    Column("lexemes", TSVECTOR, nullable=False, comment="Of context (A), names that code defines (B), text (D)."),
    Index("chunks_author", "author"),
    Index("chunks_document", "document_id"),
    Index("chunks_lexemes", "author", "lexemes", postgresql_using="gin"),
    schema="features",
    comment="Pieces of cleaned documents, small enough to embed, with all that is filtered, ranked and cited.",
)

terms = Table(
    "terms",
    metadata,
    Column("author", Text, primary_key=True),
    Column("term", Text, primary_key=True, comment="A lexeme."),
    Column("chunks", Integer, nullable=False, comment="How many of the author's chunks have it."),
    schema="features",
    comment="How common a word is with an author: rare ones say more.",
)

corpora = Table(
    "corpora",
    metadata,
    Column("author", Text, primary_key=True),
    Column("chunks", Integer, nullable=False),
    Column("configurations", ARRAY(Text), nullable=False, comment="Text search configurations of the languages that the author writes in."),
    schema="features",
    comment="Size of each author's chunks.",
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("chunk_id", Uuid, ForeignKey("features.chunks.id", ondelete="CASCADE"), primary_key=True),
    Column("model", Text, primary_key=True, comment="Name and content hash of the embedder."),
    Column("author", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("embedding", HALFVEC(), nullable=False, comment="Unit length; indexed per model, whose dimension it has."),
    Index("embeddings_author", "author"),
    Index("embeddings_content", "model", "content_hash"),
    schema="features",
    comment="Vectors of chunks, one per embedding model.",
)

embedders = Table(
    "models",
    metadata,
    Column("name", Text, primary_key=True, comment="Spec, backend and content hash: the key of the vectors."),
    Column("spec", Text, nullable=False, comment="What TWIN_EMBEDDER said."),
    Column("dimension", Integer, nullable=False),
    Column("active", Boolean, nullable=False, server_default=text("false"), comment="The one that is searched with."),
    _created(),
    Index("models_one_active", "active", unique=True, postgresql_where=text("active")),
    schema="features",
    comment="Embedding models whose vectors are kept.",
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("author", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="Such as voice_profile, instruct_dataset, eval_texts, eval_report."),
    Column("version", Text, primary_key=True, comment="Hash of the content."),
    Column("uri", Text, nullable=False),
    Column("figures", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("sequence", BigInteger, nullable=False, server_default=text("nextval('registry.sequence')"), comment="Order of registration."),
    _created(),
    schema="registry",
    comment="Versioned files of the artifact store.",
)

models = Table(
    "models",
    metadata,
    Column("version", Text, primary_key=True, comment="Hash of dataset version, configuration and base model."),
    Column("author", Text, nullable=False),
    Column("dataset_version", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("base_model", Text, nullable=False),
    Column("adapter_uri", Text, nullable=False),
    Column("figures", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("status", Text, nullable=False, comment="candidate, accepted, rejected, deployed or retired."),
    Column("sequence", BigInteger, nullable=False, server_default=text("nextval('registry.sequence')")),
    _created(),
    Index("models_author", "author"),
    schema="registry",
    comment="The model registry: every trained adapter, with what it was made from.",
)

transitions = Table(
    "transitions",
    metadata,
    Column("sequence", BigInteger, primary_key=True, server_default=text("nextval('registry.sequence')")),
    Column("author", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("before", Text, comment="Empty for a model that is new."),
    Column("after", Text, nullable=False),
    Column("actor", Text, nullable=False, comment="Who: a person, or the policy that decided."),
    Column("reason", Text, nullable=False),
    Column("figures", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="What the decision was based on."),
    _created(),
    Index("transitions_author", "author", "sequence"),
    schema="registry",
    comment="Every step in the life of every model: who let it serve, and why. Rows are only added.",
)

edits = Table(
    "edits",
    metadata,
    Column("id", Uuid, primary_key=True, comment="uuid5 of author, prompt and draft."),
    Column("author", Text, ForeignKey("registry.authors.name", ondelete="CASCADE"), nullable=False),
    Column("prompt", Text, nullable=False, comment="What was asked for."),
    Column("platform", Text),
    Column("words", Integer),
    Column(
        "notes",
        JSONB,
        nullable=False,
        server_default=text("'[]'::jsonb"),
        comment="What stood in the prompt beside that: [[document or null, words]].",
    ),
    Column("draft", Text, nullable=False, comment="What the twin wrote."),
    Column("published", Text, nullable=False, comment="What the author published instead."),
    Column("model_version", Text, nullable=False, comment="Of the twin."),
    _created(),
    Index("edits_author", "author"),
    schema="registry",
    comment="Drafts, and what their authors made of them.",
)

deployments = Table(
    "deployments",
    metadata,
    Column("author", Text, primary_key=True),
    Column("model_version", Text, ForeignKey("registry.models.version"), nullable=False),
    Column("engine", Text, nullable=False, comment="llama.cpp, tgi or vllm."),
    Column("url", Text, nullable=False, comment="Base URL of the OpenAI-compatible endpoint."),
    Column("model_uri", Text, nullable=False, comment="What is served."),
    Column("pid", Integer, comment="The local server's process."),
    Column("deployed_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    schema="registry",
    comment="What serves each author now.",
)
