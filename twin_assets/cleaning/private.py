"""Where private things stand in a text: e-mail addresses, phone numbers, passwords and keys.

Every pattern here takes time in proportion to the text, whatever the text is: quantifiers are bounded, or cannot start twice in the same run.
That is why of detect-secrets only patterns, keywords and judgements are used, and nothing that scans: its keyword patterns and some of its
token patterns are quadratic on a long line, its scan stops at the first find, and it may ask the network whether a key is valid.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Literal

PrivateKind = Literal["email", "phone", "secret", "unread"]

LONGEST = 1_000_000
"""Characters of a text that is looked at. A longer one (nobody writes 150,000 words without a paragraph) is masked as a whole."""

PLACEHOLDER = re.compile(r"\[(?:email|phone|secret|unread) \d+\]")


@dataclass(frozen=True, slots=True, order=True)
class Find:
    """A private thing: where it stands, and what makes it the same as another."""

    start: int
    end: int
    kind: PrivateKind
    value: str


def find_private(text: str, regions: Sequence[str] = (), code: bool = False) -> list[Find]:
    """The private things in a text, in order, none overlapping another; of two that overlap the longer one.

    A text with a placeholder in the place of each find has no finds: what only shows once something else is masked is found too.

    Args:
        text: One block.
        regions: Countries, as ``US``, whose national phone numbers are looked for; international ones always are.
        code: Whether it is code: there passwords are looked for by the names they are assigned to, and phone numbers only with a ``+``.
    """
    if len(text) > LONGEST:
        return [Find(0, len(text), "unread", text)]
    found: list[Find] = []
    rest = text
    while new := _without_overlaps(_around_placeholders(rest, _candidates(rest, () if code else regions, code))):
        shifts = _shifts(found)
        found = sorted([*found, *(Find(_before(find.start, shifts), _before(find.end, shifts), find.kind, find.value) for find in new)])
        rest = _masked(text, found)
    return found


def _masked(text: str, found: Sequence[Find]) -> str:
    parts, behind = [], 0
    for find in found:
        parts += [text[behind : find.start], f"[{find.kind} 0]"]
        behind = find.end
    return "".join([*parts, text[behind:]])


def _shifts(found: Sequence[Find]) -> list[tuple[int, int]]:
    """For each find the end of its placeholder in the masked text, and how much shorter the text is from there on."""
    shifts, shift = [], 0
    for find in found:
        shift += (find.end - find.start) - len(f"[{find.kind} 0]")
        shifts.append((find.end - shift, shift))
    return shifts


def _before(position: int, shifts: Sequence[tuple[int, int]]) -> int:
    """The position in the text before masking."""
    index = bisect_right(shifts, position, key=itemgetter(0))
    return position + (shifts[index - 1][1] if index else 0)


def _without_overlaps(finds: Iterable[Find]) -> list[Find]:
    chosen: list[Find] = []
    for find in sorted(finds):
        if not chosen or find.start >= chosen[-1].end:
            chosen.append(find)
        elif find.end - find.start > chosen[-1].end - chosen[-1].start:
            chosen[-1] = find  # starts no earlier than the one it displaces, so it meets none before that
    return chosen


def _around_placeholders(text: str, finds: Iterable[Find]) -> Iterator[Find]:
    """The finds without the placeholders inside of them: those stay, and hide nothing."""
    for find in finds:
        start = find.start
        for placeholder in PLACEHOLDER.finditer(text, find.start, find.end):
            if placeholder.start() > start:
                yield Find(start, placeholder.start(), find.kind, text[start : placeholder.start()])
            start = placeholder.end()
        if start == find.start:
            yield find
        elif start < find.end:
            yield Find(start, find.end, find.kind, text[start : find.end])


def _candidates(text: str, regions: Sequence[str], code: bool) -> Iterator[Find]:
    if "@" in text:
        yield from _emails(text, code)
    if _MANY_DIGITS.search(text):
        yield from _phones(text, regions)
    yield from _keys(text)
    if code:
        yield from _assigned(text)


# -- e-mail addresses

_NO_BLANKS = "\u0e00-\u0e7f\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
"""Scripts that set no blanks between words: an address ends or begins where they do."""

_LOCAL = re.compile(rf"(?:[^\W{_NO_BLANKS}]|[.+%&'’-])+\Z")
_LOCAL_OF_THEM = re.compile(r"[\w.+-]+\Z")
_DOMAIN = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,62}+\.){1,8}(?P<top>[a-z]{2,24})(?![a-z0-9-]|\.[^\x00-\x7f])", re.I)
_DOMAIN_OF_ANY = re.compile(r"(?:[^\W_][\w-]{0,62}+\.){1,8}(?P<top>[^\W\d_]{2,63})(?![^\W\d_])")
_NOBODYS_DOMAIN = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|net|org)|example|test|invalid|localhost|local|internal)|openssh\.com|libssh\.org", re.I
)
_NOBODYS_NAME = re.compile(r"git|you|your[.-]?(?:e?mail|name)|user(?:name)?|someone|x+", re.I)
_NOBODYS_ADDRESS = re.compile(r"(?:me|name|test|foo|abc)@(?:gmail|outlook|hotmail|yahoo|icloud)\.com", re.I)
_NO_REPLY = re.compile(r"\bno-?reply\b", re.I)
_VERSION_OR_FILE = re.compile(
    r"v?\d+(?:x|\.\d+|\.x)\b|.*\.(?:png|jpe?g|gif|svg|webp|avif|pdf|[cm]?[jt]sx?|css|json|html?|ya?ml|txt|xml|toml)\Z", re.I
)
_TOPS_IN_CODE = re.compile(r"[a-z]{2}|com|org|net|edu|gov|mil|int|info|biz|dev|app|name|blog|email|cloud|online|site|tech|xyz", re.I)
_NO_ADDRESS_BEFORE = re.compile(r"(?:@|://[^\s/@]{0,200}|\bacct:|\b(?:ssh|scp|sftp|rsync|mosh)\s(?:-\w+ (?:\w+ )?){0,9})\Z")
_REMOTE_PATH = re.compile(r":[\w~./]")
_LONGEST_NAME = 64


def _emails(text: str, code: bool) -> Iterator[Find]:
    """Addresses as people write them: not handles, logins on servers, remotes of git, packages with a version, or nobody's (RFC 2606)."""
    at = text.find("@")
    while at >= 0:
        find = _email(text, at, code)
        if find:
            yield find
        at = text.find("@", at + 1)


def _email(text: str, at: int, code: bool) -> Find | None:
    before = text[max(0, at - _LONGEST_NAME) : at]
    found = _LOCAL.search(before) or _LOCAL_OF_THEM.search(before)
    domain = _DOMAIN.match(text, at + 1) or _DOMAIN_OF_ANY.match(text, at + 1)
    name = found[0].lstrip(".+%&'’-") if found else ""
    if not name or not domain or name[-1] in ".%&'’":
        return None
    start, end = at - len(name), domain.end()
    if _NOBODYS_NAME.fullmatch(name) or _NOBODYS_DOMAIN.fullmatch(domain[0]) or _NO_REPLY.search(text, start, end):
        return None
    if _NOBODYS_ADDRESS.fullmatch(text, start, end):
        return None
    if _VERSION_OR_FILE.match(domain[0]) or _REMOTE_PATH.match(text, end) or _NO_ADDRESS_BEFORE.search(text[max(0, start - 250) : start]):
        return None
    if code and (not _TOPS_IN_CODE.fullmatch(domain["top"]) or text.startswith(("(", "["), end)):
        return None
    return Find(start, end, "email", text[start:end].casefold())


# -- phone numbers

_MANY_DIGITS = re.compile(r"\d(?:[^\w\n]{0,3}\d){6}")
_NUMBER = re.compile(r"(?<![\w+])(?:[+＋] ?)?\(?\d(?:[ \t\u00a0().\-‐-―/]{0,4}\d){6,60}+(?![^\W_])")
_GROUPED = re.compile(r"\d[ \t\u00a0().\-‐-―/]+\d")
_PHONE_WORD = re.compile(
    r"\b(?:tele)?(?:phone|tel|mobile|mob|cell|call|fax|whatsapp|sms|text|ring|dial|signal|telegram)"
    r"(?: (?:me|us|number|no|at|on|is|him|her|them)){0,3}[\s.:#(]*\Z",
    re.I,
)
_PHONE_LINK = re.compile(r"(?:tel:|wa\.me/|[?&]phone=)\Z", re.I)
_OTHER_NUMBER = re.compile(
    r"(?:\b(?:isbn(?:-1[03])?|issn|doi|pmid|arxiv|rfc|ids?|nr|order|invoice|ticket|case|version|v|serial|account|iban|vat|lot|part|patent"
    r"|model|sku|upc|ean|build|hash|timestamp|clause|section|paragraph)[\s.:#-]{0,3}|[$€£¥₹#=_/\\@&.,:-])\Z",
    re.I,
)
_NOBODYS_NUMBER = re.compile(r"\+1\d{3}55501\d\d|\+44(?:7700900|2079460|1632960|1\d\d4960)\d{3}|\+\d*(\d)\1{6}\d*|\+\d{0,3}1234567\d*")
_URL = re.compile(r"(?:https?://|www\.)\S{1,2000}", re.I)
_AROUND = 40


def _phones(text: str, regions: Sequence[str]) -> Iterator[Find]:
    """Phone numbers in the spelling of their country. National ones without any grouping need a word before them that says what they are."""
    links: list[tuple[int, int]] | None = None
    for candidate in _NUMBER.finditer(text):
        if links is None:
            links = [link.span() for link in _URL.finditer(text)]
        before = text[max(0, candidate.start() - _AROUND) : candidate.start()]
        link = bool(_PHONE_LINK.search(before))
        said = link or bool(_PHONE_WORD.search(before))
        index = bisect_right(links, candidate.start(), key=itemgetter(0))
        if said or not (_OTHER_NUMBER.search(before) or (index and candidate.start() < links[index - 1][1])):
            yield from _numbers(candidate, "+" if link and candidate[0][0] not in "+＋" else "", said, regions)


def _numbers(candidate: re.Match[str], plus: str, said: bool, regions: Sequence[str]) -> Iterator[Find]:
    from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher, format_number

    international = plus or candidate[0][0] in "+＋"
    if not international and not said and not _GROUPED.search(candidate[0]):
        return
    text = plus + candidate.string[candidate.start() : candidate.end() + _AROUND]  # with what may be its extension
    leniency = Leniency.VALID if international or said else Leniency.STRICT_GROUPING
    for region in dict.fromkeys([None] if international else regions):
        for match in PhoneNumberMatcher(text, region, leniency):
            number = format_number(match.number, PhoneNumberFormat.E164)
            if match.start < len(candidate[0]) and not _NOBODYS_NUMBER.fullmatch(number):
                lead = match.raw_string.startswith("(") and ")" not in match.raw_string  # it opens what is closed behind the number
                start = candidate.start() + max(0, match.start - len(plus)) + lead
                yield Find(start, candidate.start() + match.end - len(plus), "phone", number)


# -- passwords and keys

_LONG_RUN = re.compile(r"[A-Za-z0-9_+/=.:-]{20}")
_PEM = re.compile(
    r"-----BEGIN (?P<what>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:(?:[^-]|-(?!----)){0,20000}+-----END (?P=what)-----|(?:\s|\\[nr]|[A-Za-z0-9+/=]{24,}+|[A-Za-z-]{1,20}: [^\n]{1,100}\n)*+)"
)
_PUTTY = re.compile(r"Private-Lines: \d{1,4}\s[A-Za-z0-9+/=\s]{1,20000}+(?:Private-MAC: [0-9a-f]{1,200}+)?")
_KEY_MATERIAL = re.compile(r"[A-Za-z0-9+/=]{32}")
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*)?")
_PASSWORD_IN_URL = re.compile(r"://[^\s/:@?#]{0,200}+:([^\s/@]{1,200}+)@[\w\[]")
_FEWEST_CHARACTERS = 8
_VALUES = (
    re.compile(r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})"),
    re.compile(r"_authToken=\s?([A-Za-z0-9_-]{32,})"),
    re.compile(r"\bBearer ([A-Za-z0-9._~+/-]{20,}=*)"),
)
_OWN_FORMATS = (
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"(?:gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas|ffct)-|GR1348941)[A-Za-z0-9_-]{20,}",
    r"npm_[A-Za-z0-9]{36}",
    r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{32,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"(?<![A-Za-z0-9_-])(?:hf|gsk|r8|whsec|dckr_pat|shp(?:at|ca|pa|ss)|dop_v1|doo_v1|lin_api|figd|ntn|pat)_[A-Za-z0-9_-]{30,}",
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_-]{30,}",
    r"xapp-\d-[A-Z0-9]{8,20}-\d{8,20}-[a-z0-9]{32,}",  # Slack
    r"AGE-SECRET-KEY-1[A-Z0-9]{40,}",
    r"https://(?:\w{1,10}\.)?discord(?:app)?\.com/api/webhooks/\d{10,25}/[A-Za-z0-9_-]{40,}",
)
"""Formats that detect-secrets does not know, knows only the half of, or looks for with a pattern that is quadratic."""


@cache
def _formats() -> tuple[re.Pattern[str], ...]:
    from detect_secrets.plugins import (
        aws,
        discord,
        github_token,
        mailchimp,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )

    known = (
        _patterns(aws.AWSKeyDetector)[0],
        *_patterns(discord.DiscordBotTokenDetector),
        *_patterns(github_token.GitHubTokenDetector),
        *_patterns(mailchimp.MailchimpDetector),
        *_patterns(pypi_token.PypiTokenDetector),
        *_patterns(sendgrid.SendGridDetector),
        *_patterns(slack.SlackDetector),
        *_patterns(square_oauth.SquareOAuthDetector),
        *_patterns(stripe.StripeDetector),
        *_patterns(telegram_token.TelegramBotTokenDetector),
        *_patterns(twilio.TwilioKeyDetector),
        *map(re.compile, _OWN_FORMATS),
    )
    # A key may be longer than its pattern: Stripe's have grown since.
    return tuple(re.compile(f"(?:{pattern.pattern})[A-Za-z0-9_-]*", pattern.flags) for pattern in known)


@cache
def _values() -> tuple[re.Pattern[str], ...]:
    from detect_secrets.plugins.aws import AWSKeyDetector

    return (*_VALUES, _patterns(AWSKeyDetector)[1])


def _patterns(plugin: type) -> tuple[re.Pattern[str], ...]:
    return tuple(vars(plugin)["denylist"])


def _keys(text: str) -> Iterator[Find]:
    """What is a password or a key by its form, in prose and in code."""
    if "://" in text and "@" in text:
        for found in _PASSWORD_IN_URL.finditer(text):
            if not _is_placeholder(found[1]):
                yield _secret(found, 1)
    if not _LONG_RUN.search(text):
        return
    for pattern in (_PEM, _PUTTY):
        for found in pattern.finditer(text):
            if _KEY_MATERIAL.search(found[0]):
                yield _secret(found)
    for pattern in _formats():
        for found in pattern.finditer(text):
            if _is_random(found[0]):
                yield _secret(found)
    for pattern in _values():
        for found in pattern.finditer(text):
            if _is_random(found[1]) and _is_password(found[1], quoted=True):
                yield _secret(found, 1)
    for found in _JWT.finditer(text):
        if _is_jwt(found[0]):
            yield _secret(found)


def _is_jwt(token: str) -> bool:
    from detect_secrets.plugins.jwt import JwtTokenDetector

    return JwtTokenDetector.is_formally_valid(".".join(token.split(".")[:2]))


def _secret(found: re.Match[str], group: int | str = 0) -> Find:
    return Find(*found.span(group), "secret", found[group])


# -- passwords in code, by the names they are assigned to

_MORE_NAMES = ("pass", "passphrase", "token(?!i[sz])", "credentials?", "auth", "access_?key", "secret_?key")
_WORD_OF_SECRETS = re.compile(r"pass|pwd|secret|key|token|credential|auth|bearer|cookie|contrase", re.I)
_NO_SECRET = re.compile(
    r"public|pub_?key|tokeni[sz]|ssh-|ecdsa-|sha\d|md5|hash|digest|checksum|commit|integrity|etag|fingerprint|primary|foreign|next_|page|expir|"
    r"key_?(?:board|word)|"
    r"(?:ids?|path|file|dir|url|uri|endpoint|host|domain|name|type|scopes?|algorithm|length|size|version|policy|field|label)['\"\]]{0,2}"
    r"[ \t]*(?::=|=>|[=!:]+|,|\(|)[ \t]*['\"]?\Z",
    re.I,
)
_FLAG = re.compile(r"(?:^|\s)--?[\w-]*\Z")
_QUOTED_RUN = re.compile(r"(?<![A-Za-z0-9])(?P<quote>['\"])(?P<value>[A-Za-z0-9+/_=-]{20,200}+)(?P=quote)")
_UUID = re.compile(r"[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12}", re.I)
_BASE64_BITS, _HEX_BITS = 4.0, 3.0
"""Per character; above it a run looks random. Detect-secrets' own, but for base64: no key of 22 characters reaches its 4.5."""


@cache
def _assignment() -> re.Pattern[str]:
    from detect_secrets.plugins.keyword import DENYLIST

    names = "|".join((*DENYLIST, *_MORE_NAMES)).replace("_?", "[_-]?")
    return re.compile(
        rf"(?:{names})[\w-]{{0,40}}+"
        r"(?:(?P<sure>['\"\]]{0,2}[ \t]{0,4}(?::=|=>|={1,3}|!==?|:)[ \t]{0,4})|(?P<argument>['\"], ?|\()|(?P<flag> ))"
        r"(?:(?P<quote>['\"`])(?P<quoted>[^\s'\"`]{8,200}+)(?P=quote)|(?P<bare>[^\s'\"`,;(){}\[\]<>]{8,200}+)(?![(\[{]))",
        re.I,
    )


def _assigned(text: str) -> Iterator[Find]:
    """Values that look like real ones where code names them: not variables, calls, checksums, or what stands there as an example."""
    if not _WORD_OF_SECRETS.search(text):
        return
    for found in _assignment().finditer(text):
        group = "quoted" if found["quoted"] else "bare"
        before = _line_before(text, found.start())
        meant = found["sure"] or (found["flag"] and _FLAG.search(before)) or (found["argument"] and found["quoted"])
        named = before + text[found.start() : found.start(group)]
        if meant and not _NO_SECRET.search(named) and _is_password(found[group], quoted=group == "quoted"):
            yield _secret(found, group)
    for found in _QUOTED_RUN.finditer(text):
        before = _line_before(text, found.start())
        if _WORD_OF_SECRETS.search(before) and not _NO_SECRET.search(before) and _is_random_run(found["value"]):
            yield _secret(found, "value")


def _line_before(text: str, position: int, most: int = 80) -> str:
    return text[max(position - most, text.rfind("\n", max(0, position - most), position) + 1, 0) : position]


# -- what looks real, and what stands for it

_PLACEHOLDER_WORDS = re.compile(
    r"x{4,}|\*{3,}|\.{3}|…|your|example|placeholder|change.?(?:me|this|it)|dummy|insert|replace|redacted|my[-_]?(?:api|secret|pass|token|key)|"
    r"12345678|abcdef(?!\d)|qwerty|hunter2|letmein|correct.?horse|sha(?:1|256|512)",
    re.I,
)
_STANDS_FOR_ONE = re.compile(
    r"(?:(?:super|some|the|a|my|new|old|db|api|random|not|real|top|very|test|demo|dev|prod|local|fake|sample|foo|bar|baz|s3cr3t|p[a@]ss(?:w[o0]r?d)?|"
    r"pass(?:wd|phrase|code)?|pw|pwd|secret|token|key|auth|user(?:name)?|postgres|mysql|mariadb|mongo|redis|rabbitmq|docker|root|admin|guest|"
    r"default|none|null|true|false|undefined|string|str|value|here|todo|tbd|abc|xyz|anon\w*|tiger|\d{1,6}|\W|_))+",
    re.I,
)
_TEMPLATE = re.compile(r"[<>{}$%]|\A(?:\.{0,2}|~)/|://|\Aarn:|\Ahttps?:|\d{4}-\d\d-\d\d")
_WORDS = re.compile(r"(?:[A-Za-z]+|\d+)(?:[-_.:/@+ ]+(?:[A-Za-z]+|\d+))*[-_.:/!?]*")
_NAME = re.compile(r"[A-Za-z_]+\d{0,2}(?:[-_.:/&|]+[A-Za-z_]+\d{0,2})*|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def _is_placeholder(value: str) -> bool:
    return bool(
        _PLACEHOLDER_WORDS.search(value)
        or _TEMPLATE.search(value)
        or _STANDS_FOR_ONE.fullmatch(value)
        or (value.isupper() and "_" in value)
        or not any(map(str.isalnum, value))
    )


def _is_random(value: str) -> bool:
    """Whether a key of a known form is one, and not its picture in a manual, as AWS' ``...EXAMPLE``."""
    return len(set(value)) >= _FEWEST_CHARACTERS and "EXAMPLE" not in value.upper() and not re.search(r"[xX]{4}|0{8}|\*{3}|\.{3}", value)


def _is_password(value: str, quoted: bool) -> bool:
    if _is_placeholder(value) or not (re.search(r"\d", value) and re.search(r"[^\W\d_]", value)):
        return False
    return not _WORDS.fullmatch(value) and (quoted or not _NAME.fullmatch(value))


def _is_random_run(value: str) -> bool:
    from detect_secrets.filters.heuristic import is_sequential_string
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString, HexHighEntropyString

    if _UUID.search(value) or _is_placeholder(value) or _WORDS.fullmatch(value) or is_sequential_string(value):
        return False
    hexadecimal = all(letter in "0123456789abcdefABCDEF" for letter in value)
    detector, limit = (HexHighEntropyString(), _HEX_BITS) if hexadecimal else (Base64HighEntropyString(), _BASE64_BITS)
    return bool(re.search(r"\d", value)) and detector.calculate_shannon_entropy(value) > limit
