"""The REST interface: drafts, whole or streamed, who can write them, and whether all is well."""

import json
import math
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import chain
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.middleware.trustedhost import TrustedHostMiddleware

from app.api.schemas import Author, Decided, Decision, DraftBody, Endpoint, Health, Problem, Saved, Training, VoiceBody, Waiting
from app.api.services import Services
from twin_assets.settings import Settings, get_settings
from twin_assets.store.errors import TwinError
from twin_assets.writing.generate import EndpointDownError, PromptTooLongError
from twin_assets.writing.request import Draft, Published, Voice

log = structlog.get_logger(__name__)

PROBLEM_TYPE = "application/problem+json"
DESCRIPTION = """Writes drafts in the voice of one person, from that person's own words.

Ask for a draft with `POST /v1/drafts`. With `stream: true` (or `Accept: text/event-stream`) the answer is a stream of events:

| event | data |
|---|---|
| `token` | `{"text": ...}`, a piece of the text as it is written |
| `draft` | the final draft; its text counts, it ends at a whole sentence |
| `error` | a problem, as in the error responses; the stream ends |
"""
EVENTS = 'event: token\ndata: {"text": "I used"}\n\nevent: draft\ndata: {"author": "sample", "text": "I used to ...", ...}\n'


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application.

    Args:
        settings: Those of the environment when left out.
    """
    services = Services(settings or get_settings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.warm()
        yield
        services.close()

    app = FastAPI(title="LLM Twin", version="1", summary="Drafts in an author's own voice", description=DESCRIPTION, lifespan=lifespan)
    app.state.services = services
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=services.settings.api_names, www_redirect=False)
    app.add_exception_handler(TwinError, _on_twin_error)
    app.add_exception_handler(SQLAlchemyError, _on_database_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.post(
        "/v1/drafts",
        response_model=Draft,
        summary="Write a draft",
        tags=["writing"],
        responses={
            200: {"description": "The draft, or the stream of events.", "content": {"text/event-stream": {"example": EVENTS}}},
            **_problems({404: "No such author", 409: "Nothing deployed", 422: "Not a valid request", 503: "Model or database down"}),
        },
    )(write_draft)
    app.post(
        "/v1/voice",
        summary="How much a text sounds like an author",
        tags=["writing"],
        responses=_problems({404: "No such author", 422: "Not enough evidence", 503: "Database down"}),
    )(judge_voice)
    app.post(
        "/v1/published",
        summary="Say what a draft became",
        tags=["writing"],
        responses=_problems({404: "No such author", 422: "Not a valid request", 503: "Database down"}),
    )(save_published)
    app.get("/v1/authors", summary="Who can be asked", tags=["writing"], responses=_problems({503: "Database down"}))(list_authors)
    app.get("/v1/approvals", summary="What waits for a person", tags=["gate"], responses=_problems({503: "Database down"}))(list_waiting)
    app.post(
        "/v1/approvals",
        summary="Let a model serve, or keep it from serving",
        tags=["gate"],
        responses=_problems({409: "Not possible", 422: "Not a valid request", 503: "Database down"}),
    )(decide)
    app.get(
        "/v1/authors/{author}/trainings",
        summary="An author's trainings beside each other",
        tags=["gate"],
        responses=_problems({404: "No such author", 503: "Database down"}),
    )(list_trainings)
    app.get(
        "/health",
        summary="Whether drafts can be written",
        tags=["operation"],
        responses={503: {"model": Health, "description": "The database or an endpoint is down."}},
    )(health)
    return app


def _services(request: Request) -> Services:
    return request.app.state.services


ServicesOf = Annotated[Services, Depends(_services)]


def write_draft(body: DraftBody, services: ServicesOf, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Any:
    """Retrieves what the author wrote on the subject, lets the twin write, and says how much it sounds like the author."""
    pieces = services.writer.stream(body)
    if not body.stream and "text/event-stream" not in accept:
        *_, draft = pieces
        return draft
    first = next(pieces)  # whatever keeps the twin from writing is answered with its own status, not within the stream
    return EventSourceResponse(_events(chain([first], pieces)))


def judge_voice(body: VoiceBody, services: ServicesOf) -> Voice:
    """Whose voice a text has, how sure that is, and what in it is unlike the author; too little text is refused with what is needed."""
    return services.writer.voice(body.author, body.text)


def save_published(body: Published, services: ServicesOf) -> Saved:
    """Keeps a draft with the text that its author published; once that is found in the author's writing, the twin learns from the difference."""
    edit = services.writer.publish(body)
    return Saved(id=edit.id, changed=edit.draft != edit.published)


def list_authors(services: ServicesOf) -> list[Author]:
    """All registered authors, in alphabetical order."""
    deployments = {deployment.author: deployment for deployment in services.registry.deployments()}
    return [_author(name, deployments.get(name)) for name in services.registry.authors()]


def list_waiting(services: ServicesOf) -> list[Waiting]:
    """Models that passed the gate, of authors whose policy is manual."""
    from twin_assets.serving.gate import waiting

    return [
        Waiting(
            author=model.author,
            model_version=model.version,
            figures={name: value for name, value in report.figures.items() if isinstance(value, int | float)},
            report=f"{report.uri}/report.html",
        )
        for model, report in waiting(services.registry)
    ]


def list_trainings(author: str, services: ServicesOf) -> list[Training]:
    """The newest first; figures of the evaluation are those of the newest report on each."""
    from twin_assets.evaluation.comparison import experiments
    from twin_assets.writing.drafts import UnknownAuthorError

    if author not in (known := services.registry.authors()):
        raise UnknownAuthorError(f"No author {author[:63]!r}. Known: {', '.join(known) or 'none'}.")
    return [
        Training(
            model_version=one.version,
            status=one.status,
            base_model=one.base_model,
            dataset_version=one.dataset_version,
            figures={name: value for name, value in one.figures.items() if math.isfinite(value)},
        )
        for one in experiments(author, services.registry)
    ]


def decide(body: Decision, services: ServicesOf) -> Decided:
    """Notes the decision; what was approved is deployed by the platform within minutes."""
    from twin_assets.serving import gate

    act = gate.approve if body.approve else gate.reject
    registry = services.registry
    try:
        model = act(body.author, body.by, registry, version=body.model_version, reason=body.reason)
    except TwinError as error:
        raise RefusedError(str(error)) from error
    return Decided(author=model.author, model_version=model.version, status="accepted" if body.approve else "rejected")


class RefusedError(TwinError):
    """A decision about a model that cannot be."""


def health(services: ServicesOf, response: Response) -> Health:
    """Asks the database and every deployed model server."""
    from twin_assets.writing.model_server import healthy

    def check(deployment: Any) -> Endpoint:
        up = healthy(deployment.url, deployment.model_version)
        return Endpoint(author=deployment.author, url=deployment.url, model_version=deployment.model_version, healthy=up)

    try:
        deployments = services.registry.deployments()
    except (TwinError, SQLAlchemyError) as error:
        response.status_code = 503
        return Health(status="degraded", database=_first_line(error), endpoints=[])
    with ThreadPoolExecutor(8) as pool:
        endpoints = list(pool.map(check, deployments))
    well = all(endpoint.healthy for endpoint in endpoints)
    response.status_code = 200 if well else 503
    return Health(status="ok" if well else "degraded", database="ok", endpoints=endpoints)


def _author(name: str, deployment: Any) -> Author:
    if deployment is None:
        return Author(name=name, deployed=False)
    return Author(name=name, deployed=True, model_version=deployment.model_version, deployed_at=deployment.deployed_at)


def _events(pieces: Iterator[str | Draft]) -> Iterator[ServerSentEvent]:
    try:
        for piece in pieces:
            if isinstance(piece, Draft):
                yield ServerSentEvent(piece.model_dump_json(), event="draft")
            else:
                yield ServerSentEvent(json.dumps({"text": piece}), event="token")
    except TwinError as error:
        yield ServerSentEvent(_problem(error).model_dump_json(), event="error")
    except Exception:
        log.exception("draft failed")
        problem = Problem(title="Internal error", status=500, detail="The draft failed; the API's log says why.")
        yield ServerSentEvent(problem.model_dump_json(), event="error")


def _problem(error: TwinError) -> Problem:
    from twin_assets.features.external import ExternalError
    from twin_assets.writing.drafts import NothingDeployedError, NotMeasurableError, UnknownAuthorError

    kinds: tuple[tuple[type[TwinError], str, int], ...] = (
        (UnknownAuthorError, "No such author", 404),
        (NothingDeployedError, "Nothing deployed", 409),
        (NotMeasurableError, "Voice not measured", 422),
        (RefusedError, "Not possible", 409),
        (PromptTooLongError, "Prompt too long", 422),
        (ExternalError, "Link or file refused", 422),
        (EndpointDownError, "Model down", 503),
    )
    title, status = next(((title, status) for kind, title, status in kinds if isinstance(error, kind)), ("Not possible now", 503))
    return Problem(title=title, status=status, detail=str(error))


def _answer(problem: Problem, **more: Any) -> JSONResponse:
    return JSONResponse({**problem.model_dump(), **more}, problem.status, media_type=PROBLEM_TYPE)


def _on_twin_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TwinError)
    return _answer(_problem(error))


def _on_database_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, DBAPIError) or isinstance(error, OperationalError | InterfaceError):
        log.warning("database down", error=str(error))
        return _answer(
            Problem(title="Database down", status=503, detail=f"{_first_line(error)}. Start it with `twin up` or `twin db start`.")
        )
    log.exception("database failed", exc_info=error)
    return _answer(Problem(title="Database error", status=500, detail="The database refused; the API's log says why."))


def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": ".".join(str(part) for part in one["loc"][1:]), "problem": one["msg"]} for one in error.errors()]
    detail = "; ".join(f"{one['field'] or 'body'}: {one['problem']}" for one in errors)
    return _answer(Problem(title="Not a valid request", status=422, detail=detail), errors=errors)


def _problems(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": description} for status, description in statuses.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
