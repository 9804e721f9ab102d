"""One question to a model behind an OpenAI-compatible endpoint that is no twin: a judge, a teacher."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from twin_assets.store.errors import TwinError
from twin_assets.writing.generate import allow_this_machine_when_offline

SECONDS = 120.0
ATTEMPTS, PAUSE = 3, 2.0


class ChatDownError(TwinError):
    """The model cannot be asked."""


class RefusedError(TwinError):
    """The model will not answer this one question: it is too long, or not to its taste."""


class _PassingError(TwinError):
    """May be gone in a moment."""


class _AsItIs(str):
    """A string that equals no other: the client rewrites a format of type json_schema into one that TGI alone understands."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model behind an OpenAI-compatible endpoint.

    Attributes:
        url: Base URL, ending in /v1.
        model: Its name there, where several are served.
        key: What the endpoint asks for.
        role: What it is to us.
        setting: How the names of its settings begin.
    """

    url: str
    model: str | None = None
    key: SecretStr | None = None
    role: str = "judge"
    setting: str = "TWIN_JUDGE"

    @property
    def name(self) -> str:
        """The model and where it is, without anything secret."""
        try:
            parts = urlsplit(self.url)
            where = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
        except ValueError:
            where = "an address that cannot be read"
        return self.hidden(f"{self.model} at {where}" if self.model else where)

    def hidden(self, text: str) -> str:
        """The text without the key: whatever answers there may say it back."""
        key = self.key.get_secret_value() if self.key else ""
        return text.replace(key, "***") if key else text


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, and the tokens that were paid for: of the question, and of the answer."""

    text: str
    asked_tokens: int
    said_tokens: int


def ask(endpoint: Endpoint, system: str, message: str, max_tokens: int, schema: Mapping[str, Any] | None = None) -> Said:
    """The raw answer, without the key; what passes is tried again.

    Args:
        endpoint: Whom.
        system: What it is to do.
        message: What it is to do it with.
        max_tokens: Of the answer.
        schema: JSON schema of the answer. The endpoint is held to it, and some ignore that: check what comes.

    Raises:
        ChatDownError: When there is no answer to be had.
        RefusedError: When there is none to this question.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = _ask(endpoint, system, message, max_tokens, schema)
            return Said(endpoint.hidden(found.text), found.asked_tokens, found.said_tokens)
        except _PassingError as error:
            if attempt == ATTEMPTS:
                raise ChatDownError(endpoint.hidden(str(error))) from error
            time.sleep(PAUSE * attempt)
        except ChatDownError as error:
            raise ChatDownError(endpoint.hidden(str(error))) from error
    raise AssertionError("unreachable")


def _ask(endpoint: Endpoint, system: str, message: str, max_tokens: int, schema: Mapping[str, Any] | None) -> Said:
    import httpx2  # what huggingface_hub speaks HTTP with
    from huggingface_hub import InferenceClient
    from huggingface_hub.errors import HfHubHTTPError

    url, who, setting = endpoint.url, f"{endpoint.role} {endpoint.name}", endpoint.setting
    if not re.match(r"https?://[^/]", url):  # the client would take it for the name of a model on the hub, and ask there
        raise ChatDownError(f"{setting}_URL is no address that starts with http:// or https://.")
    key = endpoint.key.get_secret_value() if endpoint.key else ""
    conversation: list[Any] = [{"role": "system", "content": system}, {"role": "user", "content": message}]
    answer_format = {"type": _AsItIs("json_schema"), "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    extra = {"response_format": answer_format} if schema else None
    allow_this_machine_when_offline()
    try:
        # Without a key of its own the client would send along the one that somebody has for the hub, to whomever.
        with InferenceClient(base_url=url, api_key=key or "none", timeout=SECONDS) as client:
            answer = client.chat_completion(
                conversation, model=endpoint.model, max_tokens=max_tokens, temperature=0.0, seed=0, extra_body=extra
            )
        content, usage = answer.choices[0].message.content, answer.usage
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in {400, 413, 422}:
            raise RefusedError(f"refused with status {status}") from error
        kind = _PassingError if status == 429 or status >= 500 else ChatDownError
        raise kind(f"The {who} refused with status {status}. Check {setting}_URL, {setting}_MODEL and {setting}_KEY.") from error
    except (httpx2.InvalidURL, httpx2.HTTPError, OSError) as error:
        raise _PassingError(f"The {who} does not answer ({type(error).__name__}). Check {setting}_URL.") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ChatDownError(f"What answers at {endpoint.name} is no chat model. Check {setting}_URL.") from error
    spent = [count if isinstance(count, int) else 0 for count in (_of(usage, "prompt_tokens"), _of(usage, "completion_tokens"))]
    return Said(content if isinstance(content, str) else "", *spent)


def _of(usage: Any, name: str) -> Any:
    return getattr(usage, name, None)
