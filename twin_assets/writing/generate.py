"""Talks to a model behind an OpenAI-compatible endpoint: llama.cpp, vLLM or TGI alike."""

import time
from collections import abc
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlparse

import structlog

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.writing.prompts import whole_sentences

log = structlog.get_logger(__name__)

Engine = Literal["llama.cpp", "vllm", "tgi"]

DEFAULT_WORDS = 150
TOKENS_PER_WORD = 1.5
TOKENS_MARGIN = 16
COPIED_TOKENS = 12  # about nine words: names, titles and idioms may be repeated
PENALISED_TOKENS = 8192  # of the prompt and of what was written
READ_TIMEOUT = 180.0  # seconds between two tokens; a busy server queues
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class EndpointDownError(TwinError):
    """The endpoint does not answer, or answers with an error."""


class PromptTooLongError(TwinError):
    """The prompt does not fit into the model's context."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished text, the tokens that were generated, and the seconds until the last of them."""

    text: str
    tokens: int
    seconds: float


class Generator:
    """Writes with one deployed model.

    Args:
        base_url: Base URL of the OpenAI-compatible interface.
        settings: For the sampling.
        engine: What serves the model; each engine names the repetition penalty in its own way.
        model: The model's name where an endpoint serves several.
    """

    def __init__(self, base_url: str, settings: Settings, engine: str = "llama.cpp", model: str | None = None) -> None:
        self.base_url = base_url
        self.settings = settings
        self.engine = engine
        self.model = model

    def complete(
        self, messages: Sequence[dict[str, str]], words: int | None = None, *, max_tokens: int | None = None, seed: int | None = None
    ) -> Completion:
        """The whole answer at once; see ``stream``."""
        pieces = self.stream(messages, words, max_tokens=max_tokens, seed=seed)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                return end.value

    def stream(
        self, messages: Sequence[dict[str, str]], words: int | None = None, *, max_tokens: int | None = None, seed: int | None = None
    ) -> abc.Generator[str, None, Completion]:
        """The answer piece by piece.

        Args:
            messages: The conversation.
            words: About how long the answer should be; bounds the tokens.
            max_tokens: The bound itself.
            seed: For the same answer again.

        Returns:
            The finished text. Where the bound cut a sentence in two it ends before that sentence, so it can be shorter than
            what was streamed.

        Raises:
            EndpointDownError: When the endpoint does not answer or refuses.
            PromptTooLongError: When the model cannot read that much.
        """
        started = time.perf_counter()
        limit = max_tokens or round((words or DEFAULT_WORDS) * TOKENS_PER_WORD) + TOKENS_MARGIN
        text, tokens, cut = "", 0, False
        with closing(self._chunks(messages, limit, seed)) as chunks:
            for chunk in chunks:
                if chunk.usage:
                    tokens = chunk.usage.completion_tokens
                for choice in chunk.choices[:1]:
                    cut = cut or choice.finish_reason == "length"
                    if piece := choice.delta.content:
                        text += piece
                        yield piece
        text = whole_sentences(text.strip()) if cut else text.strip()
        return Completion(text, tokens, time.perf_counter() - started)

    def _chunks(self, messages: Sequence[dict[str, str]], max_tokens: int, seed: int | None) -> abc.Generator[Any, None, None]:
        import httpx2  # what huggingface_hub speaks HTTP with
        from huggingface_hub import InferenceClient
        from huggingface_hub.errors import HfHubHTTPError

        allow_this_machine_when_offline()
        try:
            # Without a key of its own the client would send along the one that somebody has for the hub, to whomever.
            with InferenceClient(base_url=self.base_url, api_key="none", timeout=READ_TIMEOUT) as client:
                yield from client.chat_completion(
                    cast("list[Any]", list(messages)),
                    model=self.model,
                    max_tokens=max_tokens,
                    seed=seed,
                    temperature=self.settings.temperature,
                    top_p=self.settings.top_p,
                    stream=True,
                    stream_options=cast("Any", {"include_usage": True}),
                    extra_body=penalty(self.engine, self.settings.repetition_penalty) | uncopied(self.engine, self.settings.copy_penalty),
                )
        except HfHubHTTPError as error:
            raise _refusal(self.base_url, error.response.status_code, str(error)) from error
        except (httpx2.HTTPError, OSError) as error:
            hint = "Start it with `twin up`, or deploy again with `twin run NAME`."
            raise EndpointDownError(f"The model at {self.base_url} does not answer ({error or type(error).__name__}). {hint}") from error


def penalty(engine: str, value: float) -> dict[str, float]:
    """The repetition penalty in the words of an engine; others ignore it, llama.cpp and vLLM each ignore the other's."""
    if engine == "tgi":  # its chat interface has no field for it, and reads the penalty as this one plus 2
        return {"presence_penalty": value - 2}
    return {"repeat_penalty": value, "repetition_penalty": value}


def uncopied(engine: str, value: float) -> dict[str, float]:
    """What keeps llama.cpp from going on with a run of tokens that stands in its prompt: its DRY sampler. Others have none."""
    if engine != "llama.cpp" or not value:
        return {}
    return {"dry_multiplier": value, "dry_base": 1.75, "dry_allowed_length": COPIED_TOKENS, "dry_penalty_last_n": PENALISED_TOKENS}


def _refusal(url: str, status: int, answer: str) -> TwinError:
    if status in {400, 413, 422} and ("context" in answer or "inputs` tokens" in answer):
        return PromptTooLongError(
            f"The prompt is too long for the model at {url}. Shorten it, give fewer links, or set TWIN_CONTEXT_PASSAGES=0."
        )
    detail = answer.strip().splitlines()[-1] if answer.strip() else "no reason given"
    return EndpointDownError(
        f"The model at {url} refused with status {status}: {detail}. Look at its log, or deploy again with `twin run NAME`."
    )


def allow_this_machine_when_offline() -> None:
    """Under ``HF_HUB_OFFLINE`` the client refuses every address, local servers included, although nothing leaves the machine."""
    from huggingface_hub import get_session, is_offline_mode

    if not is_offline_mode():
        return
    session = get_session()
    guards = session.event_hooks["request"]
    if not any(isinstance(guard, _RemoteOnly) for guard in guards):
        session.event_hooks = {**session.event_hooks, "request": [_RemoteOnly(guards)]}


class _RemoteOnly:
    def __init__(self, guards: Sequence[Callable[..., Any]]) -> None:
        self.guards = tuple(guards)

    def __call__(self, request: Any) -> None:
        if urlparse(str(request.url)).hostname not in LOOPBACK:
            for guard in self.guards:
                guard(request)
