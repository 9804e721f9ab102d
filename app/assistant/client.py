"""A typed client of the REST interface."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from app.api.schemas import Author, Decision, Problem, Saved, Training, Waiting
from twin_assets.store.errors import TwinError
from twin_assets.writing.request import Draft, DraftRequest, Published

TIMEOUT = httpx.Timeout(180, connect=5)


class ApiDownError(TwinError):
    """Nothing answers where the API should be."""


class ApiError(TwinError):
    """The API answered with a problem.

    Attributes:
        problem: What it said.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Client:
    """Talks to the REST interface.

    Args:
        url: Its base URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def authors(self) -> list[Author]:
        """All authors.

        Raises:
            ApiDownError: When nothing answers.
            ApiError: When the API answers with a problem.
        """
        return [Author.model_validate(row) for row in self._ask("GET", "/v1/authors").json()]

    def waiting(self) -> list[Waiting]:
        """Models that wait for a person.

        Raises:
            ApiDownError: When nothing answers.
            ApiError: When the API answers with a problem.
        """
        return [Waiting.model_validate(row) for row in self._ask("GET", "/v1/approvals").json()]

    def trainings(self, author: str) -> list[Training]:
        """An author's trainings, the newest first.

        Raises:
            ApiDownError: When nothing answers.
            ApiError: When the API answers with a problem.
        """
        return [Training.model_validate(row) for row in self._ask("GET", f"/v1/authors/{quote(author, safe='')}/trainings").json()]

    def decide(self, decision: Decision) -> None:
        """Lets a model serve, or keeps it from serving.

        Raises:
            ApiDownError: When nothing answers.
            ApiError: When it cannot be; the problem says why.
        """
        self._ask("POST", "/v1/approvals", decision.model_dump())

    def publish(self, published: Published) -> Saved:
        """Says what a draft became.

        Raises:
            ApiDownError: When nothing answers.
            ApiError: When the API answers with a problem.
        """
        return Saved.model_validate(self._ask("POST", "/v1/published", published.model_dump(mode="json")).json())

    def draft(self, request: DraftRequest) -> Iterator[str | Draft]:
        """The text piece by piece, then the whole draft.

        Raises:
            ApiDownError: When nothing answers, or the answer breaks off.
            ApiError: When the API answers with a problem, at once or in the middle.
        """
        body = {**request.model_dump(mode="json"), "stream": True}
        try:
            with httpx.stream("POST", f"{self.url}/v1/drafts", json=body, timeout=TIMEOUT) as response:
                if not response.is_success:
                    response.read()
                _raise_problem(response)
                for event, data in _events(response.iter_lines()):
                    if event == "error":
                        raise ApiError(Problem.model_validate(data))
                    yield Draft.model_validate(data) if event == "draft" else data["text"]
                    if event == "draft":
                        return
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._down(error) from error
        raise ApiDownError(f"The answer of {self.url} broke off before the draft was whole. Try again; the API's log says more.")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            response = httpx.request(method, f"{self.url}{path}", json=body, timeout=TIMEOUT)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._down(error) from error
        _raise_problem(response)
        return response

    def _down(self, error: Exception) -> ApiDownError:
        return ApiDownError(f"The API at {self.url} does not answer ({error or type(error).__name__}). Start it with `make up`.")


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    event, data = "message", []
    for line in lines:
        field, _, value = line.partition(":")
        if field == "event":
            event = value.strip()
        elif field == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            if event in {"token", "draft", "error"}:
                yield event, json.loads("\n".join(data))
            event, data = "message", []


def _raise_problem(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        raise ApiError(Problem.model_validate(response.json()))
    except ValueError as error:  # not a problem document: a proxy, or something else on this port
        detail = f"{response.url} answered {response.status_code} and is not the API. Check TWIN_API_URL."
        if response.text.strip() == "Invalid host header":
            detail = f"The API does not answer to the name {response.url.host}. Add it to TWIN_API_HOSTS where the API runs."
        raise ApiError(Problem(title="Not the API", status=response.status_code, detail=detail)) from error
