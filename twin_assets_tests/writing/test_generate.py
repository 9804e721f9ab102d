import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from twin_assets.settings import Settings
from twin_assets.writing.generate import Completion, EndpointDownError, Generator, PromptTooLongError, penalty
from twin_assets.writing.model_server import ServerProcess
from twin_assets.writing.prompts import Brief, messages

TEA = messages(Brief("tea"))


@pytest.fixture
def generator(model_server: ServerProcess, settings: Settings) -> Generator:
    return Generator(model_server.url, settings)


def test_the_real_model_answers_and_the_seed_repeats_it(generator: Generator) -> None:
    first = generator.complete(TEA, words=30, seed=7)
    assert first.text == generator.complete(TEA, words=30, seed=7).text
    assert first.text != generator.complete(TEA, words=30, seed=8).text
    assert 0 < first.tokens <= 30 * 1.5 + 16
    assert first.seconds > 0


def test_streaming_gives_the_same_text_in_pieces(generator: Generator) -> None:
    pieces: list[str] = []
    stream = generator.stream(TEA, max_tokens=60, seed=7)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            completion: Completion = end.value
            break
    assert len(pieces) > 10
    assert "".join(pieces).strip().startswith(completion.text)
    assert completion.text == generator.complete(TEA, max_tokens=60, seed=7).text


def test_the_repetition_penalty_reaches_the_model(model_server: ServerProcess, settings: Settings) -> None:
    def distinct(value: float) -> float:
        strict = settings.model_copy(update={"temperature": 0.0, "repetition_penalty": value})
        words = Generator(model_server.url, strict).complete(TEA, max_tokens=150, seed=1).text.lower().split()
        return len(set(words)) / len(words)

    assert distinct(1.5) > distinct(1.0) + 0.1


def test_each_engine_is_told_in_its_own_words() -> None:
    assert penalty("llama.cpp", 1.1)["repeat_penalty"] == 1.1
    assert penalty("vllm", 1.1)["repetition_penalty"] == 1.1
    assert penalty("tgi", 1.1)["presence_penalty"] + 2 == pytest.approx(1.1)


def test_a_stream_that_is_left_early_does_not_block_the_server(generator: Generator) -> None:
    stream = generator.stream(TEA, max_tokens=1500)
    next(stream)
    stream.close()
    assert generator.complete(TEA, max_tokens=5).tokens == 5


def test_nobody_there_is_an_error_that_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(EndpointDownError, match=r"127\.0\.0\.1:1/v1 does not answer.*twin up"):
        Generator("http://127.0.0.1:1/v1", settings).complete(TEA)


def test_a_prompt_beyond_the_context_is_told_apart(generator: Generator) -> None:
    with pytest.raises(PromptTooLongError, match="too long"):
        generator.complete(messages(Brief("tea and toast " * 2000)))


def test_offline_mode_still_reaches_this_machine_and_nothing_else(model_server: ServerProcess) -> None:
    script = f"""
from twin_assets.settings import get_settings
from twin_assets.writing.generate import EndpointDownError, Generator
tea = [{{"role": "user", "content": "tea"}}]
for _ in range(2):
    assert Generator({model_server.url!r}, get_settings()).complete(tea, max_tokens=5).tokens == 5
try:
    Generator("http://example.org/v1", get_settings()).complete(tea, max_tokens=5)
except EndpointDownError as error:
    assert "offline mode is enabled" in str(error), error
else:
    raise SystemExit("left the machine")
"""
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=True, timeout=120)


def test_the_key_for_the_hub_stays_at_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str | None] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers.get("Authorization"))
            self.send_error(503)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(EndpointDownError):
            Generator(f"http://127.0.0.1:{server.server_port}/v1", settings).complete(TEA)
        server.shutdown()
    assert keys and not any("hf_secret" in (key or "") for key in keys)
