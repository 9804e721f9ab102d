"""Scripted judges behind a real port, and the texts that they are asked about."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from twin_assets.evaluation.rungs import RungName, Task
from twin_assets.writing.chat import Endpoint

KEY = "sk-very-secret-7"
MARK = "whelk"
"""How a scripted judge knows the author."""

Say = Callable[[dict[str, Any]], str]
"""Reads the texts of a pair, or ``prompt`` where it is no pair."""


@dataclass
class Asked:
    """A running judge, and what reached it."""

    endpoint: Endpoint
    messages: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


def make_tasks(count: int = 12, **changed: Any) -> list[Task]:
    return [Task(**{**_task(place), **changed}) for place in range(count)]


def _task(place: int) -> dict[str, Any]:
    return {
        "id": UUID(int=place),
        "request": f"Write a post about the harbour, part {place}.",
        "real": f"I went down to the harbour at {place} and there was a {MARK} on the wall.\n\nIt was not in a hurry, and so was not I.",
        "words": 30,
        "seed": place,
        "passages": (f"A {MARK} lives in the harbour, and it is not in a hurry.",),
        "examples": ("It is the sea that makes the rules here, and I only write them down.",),
    }


def make_texts(tasks: list[Task], **changed: list[str]) -> dict[RungName, tuple[str, ...]]:
    """The twin has the author's mark, the base model has not; the texts of a rung can be others."""
    twin = [f"There was a {MARK} in the harbour of all places, and I have been thinking about it for {task.seed} days." for task in tasks]
    base = [f"Harbours are a testament to the rich history of our coasts, and here are {task.seed} tips for you." for task in tasks]
    human = [task.real for task in tasks]
    texts: dict[str, list[str]] = {"base_few_shot_rag": base, "twin": twin, "twin_rag": twin, "human": human, **changed}
    return {name: tuple(those) for name, those in texts.items()}  # pyright: ignore[reportReturnType]


def knows(said: dict[str, Any]) -> str:
    """Right about every pair, and of a settled opinion where both are marked: the longer one."""
    if "prompt" in said:
        return content(said)
    a, b = ((MARK in said[letter], said[letter]) for letter in "AB")
    return "A" if a > b else "B"


def content(said: dict[str, Any], **changed: Any) -> str:
    """What ragas' prompts ask for."""
    answers = {
        "StatementGeneratorOutput": {"statements": ["One.", "Two."]},
        "NLIStatementOutput": {
            "statements": [{"statement": "One.", "reason": "so", "verdict": 1}, {"statement": "Two.", "reason": "no", "verdict": 0}]
        },
        "AnswerAccuracyOutput": {"rating": 2},
        "RubricScoreOutput": {"feedback": "fine", "score": 4},
        **changed,
    }
    (answer,) = [answer for title, answer in answers.items() if f'"title": "{title}"' in said["prompt"]]
    return answer if isinstance(answer, str) else json.dumps(answer)


@contextmanager
def judging(say: Say, status: Callable[[int], int] = lambda number: 200, body: bytes | None = None) -> Iterator[Asked]:
    """A judge that says what it is told to say.

    Args:
        say: The answer to what it is asked.
        status: Of the nth answer.
        body: The whole answer, whatever is asked.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                asked.bodies.append(sent)
                asked.headers.append({name.lower(): value for name, value in self.headers.items()})
                asked.messages.append(sent["messages"][-1]["content"])
                code = status(len(asked.messages))
            answer = body or json.dumps(_completion(self._said(sent["messages"][-1]["content"]))).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _said(self, message: str) -> str:
            try:
                return say(json.loads(message))
            except json.JSONDecodeError:
                return say({"prompt": message})

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    lock = threading.Lock()
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    asked = Asked(Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "wise", SecretStr(KEY)))
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def _completion(text: str) -> dict[str, Any]:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "system_fingerprint": "",
        "choices": [message],
        "usage": usage,
    }
