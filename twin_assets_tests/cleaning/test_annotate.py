"""What is seen of one post."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.cleaning.annotate import (
    Annotation,
    Mask,
    annotate,
    annotator,
    find_masks,
    language,
    machine_markers,
    masked,
    parse_regions,
    repetition,
)
from twin_assets.store.errors import TwinError
from twin_assets_tests.cleaning.posts import paragraph
from twin_assets_tests.ingest.inputs import read

ENGLISH = "I baked a loaf on Tuesday and it was not good, because the water was cold and I had no patience with it."
GERMAN = "Ich habe am Dienstag ein Brot gebacken, und es war nicht gut, weil das Wasser kalt war und ich keine Geduld hatte."


# -- language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        ("El martes horneé un pan y no salió bien, porque el agua estaba fría y no tuve paciencia.", "es"),
        ("我在星期二烤了一个面包，但是它不好吃，因为水太冷了，我没有耐心。", "zh"),
        ("火曜日にパンを焼きましたが、水が冷たかったのでおいしくありませんでした。", "ja"),
        ("화요일에 빵을 구웠지만 물이 차가워서 맛이 없었습니다.", "ko"),
        ("ביום שלישי אפיתי לחם והוא לא יצא טוב, כי המים היו קרים ולא הייתה לי סבלנות.", "he"),
        ("خبزت رغيفا يوم الثلاثاء ولم يكن جيدا لأن الماء كان باردا ولم يكن لدي صبر.", "ar"),
        ("Во вторник я испёк хлеб, и он не удался, потому что вода была холодной.", "ru"),
        ("ผมอบขนมปังเมื่อวันอังคาร แต่มันไม่อร่อยเพราะน้ำเย็นเกินไป", "th"),
        ("𝗜 𝗯𝗮𝗸𝗲𝗱 𝗮 𝗹𝗼𝗮𝗳 𝗼𝗻 𝗧𝘂𝗲𝘀𝗱𝗮𝘆 𝗮𝗻𝗱 𝗶𝘁 𝘄𝗮𝘀 𝗻𝗼𝘁 𝗴𝗼𝗼𝗱 𝗮𝘁 𝗮𝗹𝗹", "en"),
        ("", None),
        ("Thanks, Ada!", None),
        ("🙂🙂🙂 12345678901234567890 !!!", None),
        ("https://example.org/ein-brot-das-nicht-gut-war-und-kalt", None),
        ("\ud800\udfff\x00" * 20, None),
    ],
)
def test_the_language_of_a_text(text: str, expected: str | None) -> None:
    assert language([text]) == expected


def test_the_language_that_most_is_in_wins() -> None:
    assert language([GERMAN, *[ENGLISH] * 4]) == "en"
    assert language([ENGLISH, *[GERMAN] * 4]) == "de"
    assert language([ENGLISH, "我在星期二烤了一个面包，但是它不好吃，因为水太冷了，我没有耐心。" * 9]) == "zh"


def test_only_own_prose_decides() -> None:
    german = {"type": "quote", "text": GERMAN * 5}
    code = {"type": "code", "text": GERMAN * 5}
    assert annotate(GERMAN, [paragraph(ENGLISH), german, code]).language == "en"


# -- masks


def test_the_same_thing_has_the_same_placeholder_throughout_a_document() -> None:
    blocks = [
        paragraph("bob@mill.co or ada@engine.org"),
        {"type": "code", "text": "api_key = 'f3Za91kQ0'\nmail('BOB@mill.co')"},
        {"type": "quote", "text": "+1 650 253 0000, (650) 253-0000"},
    ]
    masks = annotate("Ask ada@engine.org", blocks, ("US",)).masks
    texts = ["Ask ada@engine.org", *(str(block["text"]) for block in blocks)]
    assert [masked(text, masks, block) for block, text in enumerate(texts)] == [
        "Ask [email 1]",
        "[email 2] or [email 1]",
        "api_key = '[secret 1]'\nmail('[email 2]')",
        "[phone 1], [phone 1]",
    ]
    assert masks[0] == Mask(0, 4, 18, "[email 1]")
    assert masks == tuple(sorted(masks, key=lambda mask: (mask.block, mask.start)))


def test_a_row_is_what_the_table_takes() -> None:
    row = Annotation("en", (Mask(1, 0, 3, "[email 1]"),), 0.5, 2).to_row()
    masks = [{"block": 1, "start": 0, "end": 3, "placeholder": "[email 1]"}]
    assert row == {"language": "en", "masks": masks, "repetition": 0.5, "machine_markers": 2}


def test_a_post_without_a_title_or_words() -> None:
    assert annotate(None, []) == Annotation(None, (), 0.0, 0)


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_blocks_can_be_looked_at(texts: list[str]) -> None:
    found = annotate(None, [paragraph(text) for text in texts], ("US",))
    assert 0 <= found.repetition <= 1
    assert found.masks == find_masks(["", *texts], (), ("US",))


# -- repetition


def test_spam_repeats_itself_and_an_article_does_not() -> None:
    assert repetition(["buy now " * 200]) > 0.95
    assert repetition(["Buy now!", *["BUY, now."] * 100]) > 0.9
    assert repetition(["買う今" * 100]) > 0.95
    assert repetition([" ".join(f"word{number}" for number in range(400))]) == 0
    assert repetition(["buy now " * 20]) == 0  # too short to tell
    half = " ".join(f"word{number}" for number in range(100))
    assert 0.4 < repetition([half, half]) < 0.6


# -- what chatbots leave in a text


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I cannot taste bread.",
        "As a large language model, I have no oven.",
        "As of my last knowledge update in 2023, rye was popular.",
        "I’m sorry, but I can’t assist with that loaf.",
        "Bread is old :contentReference[oaicite:3]{index=3}.",
        "Bread is old citeturn0search0 and turn0search0 again.",
        "Bread is old【12†source】.",
        "See https://example.org/?utm_source=chatgpt.com for more.",
        "Here it is: sandbox:/mnt/data/loaf.txt",
        "Best regards, [Your Name]",
        "At [Insert Company Name Here] we bake.",
        "Would you like me to adjust the tone?",
        "Sure! Here's a LinkedIn post about bread:",
        "Here is a more polished version of your post:",
    ],
)
def test_what_a_chatbot_left_is_counted(text: str) -> None:
    assert machine_markers([text]).total() >= 1


def test_hoping_to_have_helped_counts_only_after_handing_over() -> None:
    assert machine_markers(["I hope this helps!"]) == Counter()
    assert machine_markers(["Certainly! Here is a post about bread.", "I hope this helps!"]).total() == 2


@pytest.mark.parametrize(
    "text",
    [
        "Sure, I can bake. Certainly not today.",
        "I asked an AI model about bread and a language model about rye.",
        "Sorry, but I can't come. Let me know if you'd like to.",
        "Feel free to fork it. My last update broke it. My knowledge of rye is poor.",
        "It's my turn to search: turn 2, search 3. `items[your_name]`",
        "Here is the new version of my blog post engine.",
        "",
    ],
)
def test_what_people_write_is_not(text: str) -> None:
    assert machine_markers([text]) == Counter()


def test_what_others_said_of_chatbots_is_not_counted() -> None:
    assert annotate(None, [{"type": "quote", "text": "As an AI language model, I cannot."}]).machine_markers == 0


# -- settings


def test_regions() -> None:
    assert parse_regions(" us, GB ,de,US") == ("DE", "GB", "US")
    assert parse_regions("") == ()
    with pytest.raises(TwinError, match="names XX,"):
        parse_regions("US,XX")


def test_the_version_names_all_that_decides() -> None:
    assert annotator(("GB", "US")) != annotator(("US",))
    for library in ("py3langid-", "detect-secrets-", "phonenumbers-"):
        assert library in annotator(())


# -- real posts


def test_real_people_write_in_their_language_without_chatbots(test_data: Path) -> None:
    for name in ("blog_mtlynch", "til_simonw"):
        posts = [post for post in read(test_data / name).values() if post.state == "kept"]
        found = [annotate(post.title, [block.to_json() for block in post.blocks], ("GB", "US")) for post in posts]
        assert {annotation.language for annotation in found} == {"en"}
        assert sum(annotation.machine_markers for annotation in found) == 0
        repetitive = [annotation.repetition for annotation in found if annotation.repetition >= 0.2]
        assert len(repetitive) <= 0.005 * len(found)
