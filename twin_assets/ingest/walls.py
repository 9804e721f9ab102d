"""Pages that stand before the page: bot checks, logins and cookie banners, which answer with HTTP 200 as if they were it."""

import re
from typing import Literal

from selectolax.lexbor import LexborHTMLParser

from twin_assets.ingest.posts import Block

Wall = Literal["", "challenge", "needs_login", "consent"]

_MOST_WORDS = 300
"""A page with more running words than this is no wall, whatever it is called."""
_FEW_WORDS = 25
_LONGEST_BANNER = 10_000

_ADDRESSES: tuple[tuple[Wall, re.Pattern[str]], ...] = (
    ("consent", re.compile(r"https?://(consent|guce|cmp)\.", re.I)),
    (
        "challenge",
        re.compile(r"https?://[^?#]*/(checkpoint/challenge|cdn-cgi/challenge-platform|captcha|\.within\.website)([/?#]|$)", re.I),
    ),
    (
        "needs_login",
        re.compile(
            r"https?://[^?#]*/(authwall|uas/login|checkpoint/(lg|rp)|login|log-in|signin|sign-in|signup|users/sign_in|accounts/login"
            r"|i/flow/login|wp-login\.php)([/?#]|$)",
            re.I,
        ),
    ),
)
_TITLES: tuple[tuple[Wall, re.Pattern[str]], ...] = (
    (
        "challenge",
        re.compile(
            r"just a moment|attention required|verify(ing)? (that )?(you are|you.re) (a |not a )?(human|robot|bot)|are you (a )?(robot|human)"
            r"|human verification|security (check|checkpoint|verification)|.{0,30}security checkpoint|access (to this page )?(has been )?denied"
            r"|pardon our interruption|robot check|bot (check|verification)|checking your browser|client challenge|performing security"
            r"|you have been blocked|request (blocked|unsuccessful)|ddos.guard|making sure you.re not a bot"
            r"|(captcha|one more step|please wait|(error )?403( forbidden)?|forbidden|(nur )?einen moment( bitte)?|un instant|un momento|um momento"
            r"|少々お待ちください|请稍候)\W*$",
            re.I,
        ),
    ),
    (
        "needs_login",
        re.compile(
            r"(sign|log)[ -]?(in|up|on)\b|authwall|join (linkedin|now|us)\b|(create (an|your) )?account\b|anmelden|einloggen|(se )?connecter"
            r"|connexion|iniciar sesi|accedi\b|.{0,60}\b(log ?in|sign ?(in|up))( or \w+ ?\w*)?( (\||-|–|·|to|on|into) .{0,40})?$",
            re.I,
        ),
    ),
    (
        "consent",
        re.compile(
            r"(before you continue|we value your privacy|we use cookies|this (site|website) uses cookies|(manage )?cookie"
            r"|(your )?privacy (is|choices|settings|preferences)|consent\b|bevor sie (fortfahren|weiter)|avant de continuer)",
            re.I,
        ),
    ),
)
_CHALLENGE_SIGNS = (
    "_cf_chl_opt",
    "captcha-delivery.com",
    "px-captcha",
    "_Incapsula_Resource",
    "awsWafCookieDomainList",
    "gokuProps",
    "sucuri_cloudproxy",
    "/.within.website/x/cmd/anubis",
)
_CAPTCHAS = ".g-recaptcha, .h-captcha, .cf-turnstile"
"""Forms for comments have these too."""
_COOKIE_WORDS = re.compile(r"\b(cookies?|consent|privacy|partners|vendors|legitimate interest|einwilligung|datenschutz)\b", re.I)
_ACCEPT = re.compile(
    r"\s*(i )?(accept|agree|allow|reject|decline|deny|got it|akzeptieren|zustimmen|alle akzeptieren|tout accepter)\b", re.I
)
_BUTTONS = "button, input[type=submit], input[type=button], [role=button]"


def wall_of(tree: LexborHTMLParser, html: str, titles: tuple[str, ...], addresses: tuple[str | None, ...], blocks: list[Block]) -> Wall:
    """Which wall a page is, if it is one.

    Args:
        tree: The page.
        html: Its source.
        titles: What it is called, in its head and on the page.
        addresses: Where it came from and where it says that it stands.
        blocks: What was found in it.
    """
    words = 0
    for block in blocks:
        words += block.text.count(" ") + 1
        if words > _MOST_WORDS:
            return ""
    for wall, pattern in _ADDRESSES:
        if any(address and pattern.match(address) for address in addresses):
            return wall
    if any(sign in html for sign in _CHALLENGE_SIGNS):
        return "challenge"
    asks_in = tree.css_first("input[type=password], input[type=email]") is not None
    for wall, pattern in _TITLES:
        few = words < _FEW_WORDS or (words < _MOST_WORDS / 2 and (wall != "needs_login" or asks_in))
        if few and any(map(pattern.match, titles)):
            return wall
    if _is_consent(tree, blocks, words):
        return "consent"
    if words >= _FEW_WORDS:
        return ""
    if tree.css_first(_CAPTCHAS) is not None:
        return "challenge"
    return "needs_login" if tree.css_first("input[type=password]") is not None else ""


def _is_consent(tree: LexborHTMLParser, blocks: list[Block], words: int) -> bool:
    """Whether a page speaks of cookies and has a button that accepts them."""
    if words < _FEW_WORDS and tree.body is not None:  # extractors leave such banners out
        tree.strip_tags(["script", "style", "noscript"])
        text = tree.body.text(deep=True, separator=" ")[:_LONGEST_BANNER]
        words = len(text.split())
    else:
        text = " ".join(block.text for block in blocks)
    named = len(_COOKIE_WORDS.findall(text))
    if named < 3 or named < words / 25:
        return False
    return any(_ACCEPT.match(node.text(deep=True) or node.attributes.get("value") or "") for node in tree.css(_BUTTONS))
