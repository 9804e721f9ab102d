"""Private things are found wherever they stand, and nothing else is touched."""

import base64
import json
import random
import string
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.cleaning import private
from twin_assets.cleaning.private import PLACEHOLDER, find_private
from twin_assets_tests.ingest.inputs import read

REGIONS = ("GB", "US")
LETTERS = string.ascii_letters
ALNUM = LETTERS + string.digits
HEX = "0123456789abcdef"
URL_SAFE = ALNUM + "_-"


def mask(text: str, code: bool = False) -> str:
    """The text with each find replaced by its kind."""
    for find in reversed(find_private(text, REGIONS, code)):
        text = f"{text[: find.start]}[{find.kind} 1]{text[find.end :]}"
    return text


# -- e-mail addresses


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ada.byron+loaf@engine.org.uk.", "Write to [email 1]."),
        ("<ada@engine.org>, (bob@mill.co): hello", "<[email 1]>, ([email 1]): hello"),
        ("mailto:ada@engine.org?subject=bread", "mailto:[email 1]?subject=bread"),
        ("https://engine.org/stop?mail=ada@engine.org&x=1", "https://engine.org/stop?mail=[email 1]&x=1"),
        ("ADA@ENGINE.ORG", "[email 1]"),
        ("müller@bäckerei.de schrieb", "[email 1] schrieb"),
        ("我的邮箱是ada@engine.org，请写信", "我的邮箱是[email 1]，请写信"),
        ("用户@例子.广告", "[email 1]"),
        ("o'neil@mill.co and 'ada@engine.org'", "[email 1] and '[email 1]'"),
        ("Ask ada@engine.org: she knows", "Ask [email 1]: she knows"),
        ("כתבו אל ada@engine.org היום", "כתבו אל [email 1] היום"),
    ],
)
def test_addresses_are_masked_and_what_is_around_them_stays(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "git clone git@github.com:ada/loaf.git",
        "deploy@mill.co:/srv/loaf",
        "@ada@mill.social and acct:ada@mill.social",
        "ada@example.com, bob@mail.example.org, c@loaf.test, d@x.invalid, e@host.localhost, f@a.example",
        "python@3.11, leaflet@1.5.1/dist, tesseract.js@v2.1.0, icon@2x.png, lit@2.0.0-rc.js",
        "ssh ada@mill.co and ssh -p 22 ada@mill.co",
        "https://ada@mill.co/path",
        "noreply@mill.co and actions@users.noreply.github.com",
        "@ alone, a@b, a@b.c, @ada, ada@, 5 @ 3.50",
        "youremail@gmail.com",
        "Ciphers chacha20-poly1305@openssh.com",
    ],
)
def test_what_is_nobodys_address_stays(text: str) -> None:
    assert mask(text) == text


def test_code_that_looks_like_addresses_stays() -> None:
    for code in ("y = weights@x.mean()", "@app.route('/')", "a@b.shape[0]", 'import x from "@scope/pack@1.2.beta"'):
        assert mask(code, code=True) == code
    assert mask('git config user.email "ada@engine.org"', code=True) == 'git config user.email "[email 1]"'


# -- phone numbers


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Call +91 70868 17421 now", "Call [phone 1] now"),
        ("+49 30 901820, +1-650-253-0000", "[phone 1], [phone 1]"),
        ("My number: (650) 253-0000.", "My number: [phone 1]."),
        ("650.253.0000 or 020 7031 3000", "[phone 1] or [phone 1]"),
        ("Phone: 6502530000", "Phone: [phone 1]"),
        ("call me at 650 253 0000 ext. 12 or so", "call me at [phone 1] or so"),
        ("https://wa.me/16502530000", "https://wa.me/[phone 1]"),
        ("tel:+16502530000", "tel:[phone 1]"),
        ("(650-253-0000)", "([phone 1])"),
        ("电话：+86 10 6552 9988。", "电话：[phone 1]。"),
    ],
)
def test_phone_numbers_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01, 2024-05-01 10:00:12, 01/02/2003, 1831-1839, 2019 - 2020",
        "ISBN 978-0-13-468599-1, ISBN 0-201-63361-2, ISBN: 0 7475 3269 9",
        "arXiv:2106.09685, doi 10.1145/3292500.3330701, RFC 2606",
        "192.168.100.200, 47.239.129.149:8080, 255.255.255.255",
        "$1,234,567,890, 650 253, 31536000 seconds, -122.593346, 37.3739769",
        "version 10.0.19041.1288, build 1234567890, order 6502530000, id=6502530000",
        "https://social.mill.co/status/1187332718088069121",
        "6502530000 is a number without any mark",
        "+1 650 555 0123 and 07700 900123 are for films; +1 234 567 8900 is none",
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "4111 1111 1111 1111",
        "Clause 252.227-7013",
        "0.92065323107421",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == text


def test_in_code_only_international_numbers_are_masked() -> None:
    assert mask("call(650-253-0000)", code=True) == "call(650-253-0000)"
    assert mask('to = "+16502530000"', code=True) == 'to = "[phone 1]"'


def test_regions_decide_what_a_national_number_is() -> None:
    text = "Ruf an: 030 901820"
    assert find_private(text, ("US",)) == []
    (found,) = find_private(text, ("DE",))
    assert found.value == "+4930901820"


# -- passwords and keys


def run(draw: random.Random, alphabet: str, length: int) -> str:
    return "".join(draw.choice(alphabet) for _ in range(length))


def jwt(draw: random.Random) -> str:
    parts = [json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps({"sub": run(draw, ALNUM, 12)})]
    return ".".join([*(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts), run(draw, URL_SAFE, 43)])


def pem(draw: random.Random, kind: str = "RSA ") -> str:
    lines = "\n".join(run(draw, ALNUM + "+/", 64) for _ in range(12))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


FORMATS: dict[str, Callable[[random.Random], str]] = {
    "aws": lambda draw: "AKIA" + run(draw, string.ascii_uppercase + "234567", 16),
    "discord": lambda draw: f"M{run(draw, ALNUM, 23)}.{run(draw, ALNUM, 6)}.{run(draw, ALNUM, 27)}",
    "github": lambda draw: "ghp_" + run(draw, ALNUM, 36),
    "github, fine-grained": lambda draw: f"github_pat_{run(draw, ALNUM, 22)}_{run(draw, ALNUM, 59)}",
    "gitlab": lambda draw: "glpat-" + run(draw, URL_SAFE, 20),
    "gitlab, long": lambda draw: "glpat-" + run(draw, URL_SAFE, 70),
    "google": lambda draw: "AIza" + run(draw, URL_SAFE, 35),
    "hugging face": lambda draw: "hf_" + run(draw, LETTERS, 34),
    "jwt": jwt,
    "mailchimp": lambda draw: run(draw, HEX, 32) + "-us12",
    "npm": lambda draw: "npm_" + run(draw, ALNUM, 36),
    "openai": lambda draw: f"sk-proj-7{run(draw, ALNUM, 20)}T3BlbkFJ{run(draw, ALNUM, 20)}",
    "anthropic": lambda draw: f"sk-ant-api03-{run(draw, URL_SAFE, 93)}AA",
    "private key": pem,
    "private key, openssh": lambda draw: pem(draw, "OPENSSH "),
    "pypi": lambda draw: "pypi-AgEIcHlwaS5vcmc" + run(draw, ALNUM, 80),
    "sendgrid": lambda draw: f"SG.{run(draw, ALNUM, 22)}.{run(draw, ALNUM, 43)}",
    "slack": lambda draw: f"xoxb-{run(draw, string.digits, 12)}-{run(draw, string.digits, 12)}-{run(draw, ALNUM, 24)}",
    "slack, webhook": lambda draw: f"https://hooks.slack.com/services/T{run(draw, ALNUM, 8)}/B{run(draw, ALNUM, 8)}/{run(draw, ALNUM, 24)}",
    "stripe": lambda draw: "sk_live_" + run(draw, ALNUM, 24),
    "stripe, long": lambda draw: "sk_live_" + run(draw, ALNUM, 99),
    "telegram": lambda draw: f"{run(draw, '123456789', 10)}:{run(draw, URL_SAFE, 35)}",
    "twilio": lambda draw: "SK" + run(draw, HEX, 32),
}
VALUES: dict[str, tuple[str, Callable[[random.Random], str], str]] = {
    "azure": ("AccountKey=", lambda draw: run(draw, ALNUM, 86) + "==", ""),
    "basic auth": ("https://ada:", lambda draw: run(draw, ALNUM, 14), "@mill.co/loaf"),
    "aws secret": ('aws_secret_key = "', lambda draw: run(draw, ALNUM, 40), '"'),
}


@pytest.mark.parametrize("name", FORMATS)
@given(
    seed=st.integers(0, 10**9),
    before=st.sampled_from([" ", "(", "“", "是", ": ", "\n", "`", "="]),
    after=st.text(" .,;)”\n", max_size=2),
)
@settings(max_examples=30)
def test_a_key_is_found_wherever_it_stands(name: str, seed: int, before: str, after: str) -> None:
    secret = FORMATS[name](random.Random(seed))
    for code in (False, True):
        assert mask(f"I lost it{before}{secret}{after} last week.", code) == f"I lost it{before}[secret 1]{after} last week."


@pytest.mark.parametrize("name", VALUES)
@given(seed=st.integers(0, 10**9))
@settings(max_examples=30)
def test_a_value_is_found_by_what_it_belongs_to(name: str, seed: int) -> None:
    before, make, after = VALUES[name]
    assert mask(f"It was {before}{make(random.Random(seed))}{after} then.") == f"It was {before}[secret 1]{after} then."


def test_a_private_key_without_its_end_is_masked_as_far_as_it_goes() -> None:
    key = pem(random.Random(1))
    assert mask(key[: key.index("-----END")] + "and so on") == "[secret 1]and so on"
    assert mask("A file with -----BEGIN RSA PRIVATE KEY----- in it") == "A file with -----BEGIN RSA PRIVATE KEY----- in it"
    assert (
        mask("-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----"
    )


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-your-api-key-goes-right-here-please",
        "postgres://postgres:postgres@mill.co/loaf and https://user:password@mill.co and mysql://root:<password>@db.mill.co",
        "517501bcf14ae6ec47efd6a17dda0ca8e6d866f9",
        "d41d8cd98f00b204e9800998ecf8427e",
        "0c0fb9dc-6347-4e1b-9307-3709a7cdf0c8",
        "ne_10m_admin_0_countries_disputed_areas",
        "http://localhost:8000/a@b",
        "My password is in the drawer: token, secret, key.",
    ],
)
def test_what_looks_like_a_key_and_is_none_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    ("code", "masked"),
    [
        ('password = "kR7#vvQz19"', 'password = "[secret 1]"'),
        ("DB_PASSWORD=kR7vvQz19w", "DB_PASSWORD=[secret 1]"),
        ("db_password: summer2041", "db_password: [secret 1]"),
        ('{"api_key": "f3Za91kQ0", "secret": "9fKq2LmZ8"}', '{"api_key": "[secret 1]", "secret": "[secret 1]"}'),
        ("mysql --password kR7vvQz19w -u ada", "mysql --password [secret 1] -u ada"),
        ("curl -H 'Authorization: Bearer 9fKq2LmZ8aWx41PqRt7v'", "curl -H 'Authorization: Bearer [secret 1]'"),
        ('client = Client(token, "9fKq2LmZ8aWx41PqRt7vBn30")', 'client = Client(token, "[secret 1]")'),
        ('api_key = "d3b07384-d113-4ec6-a5d8-3f1b7c2a9e01"', 'api_key = "[secret 1]"'),
    ],
)
def test_passwords_are_masked_in_code(code: str, masked: str) -> None:
    assert mask(code, code=True) == masked
    if "Bearer" not in code:
        assert mask(code) == code


@pytest.mark.parametrize(
    "code",
    [
        'password = os.environ["DB_PASSWORD_1"]',
        "token: str = config.token2",
        "def login(password: Password2, token=None): ...",
        'api_key = "your-api-key-123456"',
        'password = "changeme123"',
        "token = <token-1234>",
        "export TOKEN=${GITHUB_TOKEN_2}",
        "secret: ${{ secrets.DEPLOY_KEY_2 }}",
        'password: "xxxxxxxxxxxx1"',
        'SECRET_KEY = "my-secret-key-2"',
        'password = "hunter2hunter2"',
        'commit = "517501bcf14ae6ec47efd6a17dda0ca8e6d866f9"',
        '"integrity": "sha512-2fKq2LmZ8aWx41PqRt7vBn30aa=="',
        'sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"',
        'CLIENT_ID = "DLXBMPbtamC2STUyV7R6OFJFDsSTHqEB"',
        'credentials_path = "cloud-vision-ocr-382418-fee63d63124b.json"',
        'token_url = "https://mill.co/oauth2/token1"',
        "x-ratelimit-limit-tokens: 150000000",
        "tokens-reset: 2024-09-21T19:43:44Z",
        "proxy_pass http://127.0.0.1:5000",
        "plugin-secret datasette-auth0 client_id",
        "[Token(lineno=6, value='x1')]",
        'key = "users:1234:profile"',
        '"next-auth": "4.24.5-beta.3"',
        'tokenizer = AutoTokenizer.from_pretrained("mill/loaf-20b")',
        "def sign(private_key: ed25519.Ed25519PrivateKey) -> bytes: ...",
        'headers = ("authorization", "x-mill-content-sha256")',
        "git clone https://mill.co/auth-tokens-2",
    ],
)
def test_ordinary_code_stays(code: str) -> None:
    assert mask(code, code=True) == code


# -- any text

WHOLE = ["ada@engine.org", "+16502530000", "650 253 0000", "[email 1]", "[secret 12]", "://a:b9Zk@", "AKIAABCDEFGHIJ234567", "A1b2C3d4"]
BROKEN = ["-----BEGIN PRIVATE KEY-----", "password='", "x" * 30, "是", "\x00", "\ud800", "://", "\n", *"'@10 .-:=(]"]
PIECES = st.sampled_from([*WHOLE, *BROKEN])
TEXTS = st.one_of(
    st.text(), st.lists(PIECES, max_size=12).map("".join), st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=8).map("".join)
)


@given(text=TEXTS, code=st.booleans())
@settings(max_examples=500)
def test_finds_are_inside_in_order_and_apart(text: str, code: bool) -> None:
    found = find_private(text, REGIONS, code)
    places = [position for find in found for position in (find.start, find.end)]
    assert places == sorted(places)
    assert all(0 <= find.start < find.end <= len(text) for find in found)
    for find in found:
        assert not any(PLACEHOLDER.finditer(text, find.start, find.end)), "a placeholder is masked"


@given(text=TEXTS, code=st.booleans())
@settings(max_examples=500)
def test_masking_twice_is_masking_once(text: str, code: bool) -> None:
    once = mask(text, code)
    assert mask(once, code) == once


@given(st.lists(st.text(LETTERS + "äß是ש’'\"=:-()", max_size=14), max_size=30).map(" ".join), st.booleans())
def test_text_without_digits_ats_and_long_runs_is_untouched(text: str, code: bool) -> None:
    assert find_private(text, REGIONS, code) == []


def test_a_placeholder_hides_nothing() -> None:
    key = pem(random.Random(2))
    half = len(key) // 2
    assert mask(f"{key[:half]}[email 1]{key[half:]}") == "[secret 1][email 1][secret 1]"


def test_of_two_that_overlap_the_longer_one_is_masked_and_then_the_rest() -> None:
    assert mask("https://ada:kR7vvQz19w@mill.co") == "https://ada:[secret 1]@mill.co"
    assert mask("650 253 0000@mill.co") in ("[phone 1]@mill.co", "650 253 [email 1]")


NASTY = [
    ("a@" * 5000, "ats"),
    ("a.b" * 4000 + "@" + "c.d" * 4000, "one at"),
    ("eyJ" * 5000, "token starts"),
    ("eyJa=" * 4000, "token starts, apart"),
    ("sk-" * 5000, "key starts"),
    ("1234567 " * 2500, "digits"),
    ("+1 " * 6000, "pluses"),
    ("2024-05-01 10" * 1500, "dates"),
    ("password" * 2500, "names"),
    ("password='" * 2000, "quotes"),
    ("token = " + "a1" * 9000, "one long value"),
    ("-----BEGIN PRIVATE KEY-----" * 700, "keys that begin"),
    ("://" * 6000 + ":@", "addresses"),
    ("key" + " " * 20000, "blanks"),
    ("'" + "aA1" * 6000, "an open quote"),
    ("glagent-" * 2500, "tokens that go on"),
    ("//x/:_authToken" * 1300, "npm"),
    ("\ud800\x00" * 9000, "halves and zeros"),
    ("a" * 20000, "one letter"),
]


@pytest.mark.parametrize("text", [text for text, _ in NASTY], ids=[name for _, name in NASTY])
def test_time_grows_with_the_text_and_not_faster(text: str) -> None:
    def seconds(times: int) -> float:
        began = time.process_time()
        find_private(text * times, REGIONS, code=True)
        return time.process_time() - began

    find_private(text, REGIONS, code=True)
    assert seconds(8) < 24 * max(seconds(1), 0.02)


def test_a_text_that_is_too_long_to_be_looked_at_is_masked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "LONGEST", 1000)
    assert mask("a" * 1000) == "a" * 1000
    assert mask("a" * 1001) == "[unread 1]"
    assert mask("[unread 1]") == "[unread 1]"


def test_nothing_is_asked_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("requests.sessions.Session.request", refuse)
    draw = random.Random(3)
    text = "\n".join(make(draw) for make in FORMATS.values())
    assert len(find_private(text, REGIONS, code=True)) >= len(FORMATS)


def test_in_real_posts_little_is_masked(test_data: Path) -> None:
    counts = {}
    for name in ("blog_mtlynch", "til_simonw", "linkedin_sanand0", "llm_handbook_raw"):
        posts = [post for post in read(test_data / name).values() if post.state == "kept"]
        counts[name] = sum(len(find_private(block.text, REGIONS, block.type == "code")) for post in posts for block in post.blocks)
    assert counts == {"blog_mtlynch": 13, "til_simonw": 7, "linkedin_sanand0": 4, "llm_handbook_raw": 0}
