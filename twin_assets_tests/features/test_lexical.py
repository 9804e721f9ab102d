"""Words as the word search sees them, and the names that code defines."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from twin_assets.features.lexical import (
    CONFIGURATIONS,
    LONGEST_LINE,
    LONGEST_WORD,
    MOST_DEFINITIONS,
    configuration,
    definitions,
    searchable,
)
from twin_assets.store.database import Database


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Pickles, and BRINE!", "pickles and brine"),
        ("PickleJar", "picklejar pickle jar"),
        ("pickle_jar", "picklejar pickle jar"),
        ("pickle-jar", "pickle jar"),
        ("jars.pickle.open()", "jars pickle open"),
        ("__init__", "init"),
        ("HTTPServer2", "httpserver2 http server 2"),
        ("parseJSONFast", "parsejsonfast parse json fast"),
        ("MAX_SALT", "maxsalt max salt"),
        ("sha256", "sha256 sha 256"),
        ("don't", "don t"),
        ("Ünïcode naïve ÉcoleÉlève", "ünïcode naïve écoleélève école élève"),
        ("ДваСлова", "дваслова два слова"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("ｆｕｌｌ ﬁne", "full fine"),
        ("腌黄瓜", "腌黄 黄瓜"),
        ("盐", "盐"),
        ("用GPT4写", "用 gpt 4 写"),
        ("_ __ -- 🥒🥒", ""),
        ("", ""),
    ],
)
def test_identifiers_come_whole_and_split_in_any_script(written: str, words: str) -> None:
    assert searchable(written) == words


def test_an_identifier_meets_itself_in_another_style_and_its_words() -> None:
    asked = {"pickleJar", "PickleJar", "pickle_jar", "PICKLE_JAR"}
    assert {searchable(name) for name in asked} == {"picklejar pickle jar"}
    assert set(searchable("the pickle in its jar").split()) >= {"pickle", "jar"}


def test_data_is_no_word_but_what_stands_beside_it_is() -> None:
    data = "Zm9v" * 1000
    assert searchable(f"before {data} after").split()[0] == "before"
    assert max(map(len, searchable(f"before {data} after").split())) <= LONGEST_WORD
    assert searchable("x" * (LONGEST_WORD + 1)) == ""
    assert searchable("x" * LONGEST_WORD) == "x" * LONGEST_WORD
    assert searchable("瓜" * 3000).split() == ["瓜瓜"] * 2999


@given(st.text())
def test_words_are_short_lower_case_and_hold_nothing_but_letters_digits_and_marks(written: str) -> None:
    found = searchable(written)
    assert not set(found) & (set(string.punctuation) | set(string.ascii_uppercase) | set("\0\n\t"))
    assert found == " ".join(found.split())
    assert all(0 < len(word.encode()) < 2000 for word in found.split())


@given(st.text(alphabet="aB1_é-. \n"), st.text(alphabet="aB1_é-. \n"))
def test_texts_with_a_blank_between_them_have_the_words_of_both(one: str, other: str) -> None:
    assert searchable(f"{one} {other}").split() == searchable(one).split() + searchable(other).split()


@given(st.lists(st.text(alphabet=string.ascii_lowercase, min_size=2, max_size=8), min_size=2, max_size=5))
def test_every_part_of_an_identifier_is_found(parts: list[str]) -> None:
    whole = "".join(parts)
    assert searchable("_".join(parts)).split() == ([whole, *parts] if len(whole) <= LONGEST_WORD else parts)
    assert searchable("".join(map(str.capitalize, parts))).split() == [whole, *parts]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("def brine(salt: int = 3) -> Jar:", "brine"),
        ("    async def brine(self):", "brine"),
        ("class Jar(Base):", "Jar"),
        ("export default class Jar extends Base {", "Jar"),
        ("pub(crate) fn brine<T: Into<Salt<u8>>>(&mut self, salt: T) -> Jar {", "brine"),
        ("impl<A, B> Executor<A, B> for PickleExecutor<A, B>", "Executor PickleExecutor"),
        ("impl Jar {", "Jar"),
        ("pub trait Sour: Sized {", "Sour"),
        ("func (jar *Jar) Open(lid string) error {", "Open"),
        ("    public static final List<Jar> openAll(Shelf shelf) throws Spilt {", "openAll"),
        ("    @Override public int hashCode() {", "hashCode"),
        ("int Jar::open(int lid) const {", "Jar::open"),
        ("char *brine(const char *salt);", "brine"),
        ("interface Jar { }", "Jar"),
        ("  render(props) {", "render"),
        ("const brine = async (salt) => {", "brine"),
        ("  brine: function (salt) {", "brine"),
        ("const MOST: usize = 3;", "MOST"),
        ("MOST_SALT = 3", "MOST_SALT"),
        ("#define MOST_SALT 3", "MOST_SALT"),
        ("return brine(salt)", ""),
        ("if (brine(salt)) {", ""),
        ("} else if (salt) {", ""),
        ("brine(salt);", ""),
        ("new Jar(salt) {", ""),
        ("// class Jar is gone", ""),
        (" * Returns the class Jar of brine(salt)", ""),
        ("# def brine(salt):", ""),
        ("The class of things that function well.", ""),
        ("salt == 3", ""),
        ("", ""),
    ],
)
def test_names_that_code_defines(line: str, names: str) -> None:
    assert definitions(line) == names


def test_names_come_once_and_in_order_and_not_without_end() -> None:
    assert definitions("class Jar:\n    def open(self):\n    def shut(self):\nclass Lid:\n    def open(self):") == "Jar open shut Lid"
    assert len(definitions("\n".join(f"def f{n}(): pass" for n in range(3 * MOST_DEFINITIONS))).split()) == MOST_DEFINITIONS
    assert definitions(f"{' ' * LONGEST_LINE}def brine():\ndef salt():") == "salt"


@given(st.text(alphabet="(){}<>*&=:;.,@#'\" \n\tacdefnlsi_$"))
def test_any_text_is_read_for_names(code: str) -> None:
    found = definitions(code)
    assert all(name in code for name in found.split(" "))


@pytest.mark.parametrize(
    ("language", "name"),
    [("en", "english"), ("EN", "english"), ("pt-BR", "portuguese"), ("zh", "simple"), ("", "simple"), (None, "simple")],
)
def test_the_configuration_of_a_language(language: str | None, name: str) -> None:
    assert configuration(language) == name


def test_postgres_has_every_configuration_and_takes_every_word(database: Database) -> None:
    words = searchable("ПиккельBanka don't हिन्दी 腌黄瓜 x2 1e5 " + "".join(map(chr, range(1, 0xD800))))
    with database.begin() as connection:
        known = set(connection.scalars(text("select cfgname from pg_ts_config")))
        lexemes = connection.scalar(text("select tsvector_to_array(to_tsvector('simple', :words))"), {"words": words})
    assert known >= {*CONFIGURATIONS.values(), "simple"}
    assert {"don", "пиккельbanka", "हिन्दी", "腌黄", "黄瓜", "x2"} <= set(lexemes or ())
