"""What a model must have shown before it may serve, and who lets it.

The checks on the evaluation report stop a run; this holds as well when somebody materializes the deployment alone.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from twin_assets.evaluation.quality import GATE, figures_on
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Model, Registry
from twin_assets.store.thresholds import Thresholds

log = structlog.get_logger()

PASSED = "All checks of the gate passed."


def refusals(model: Model | None, figures: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """Why a model may not be deployed; empty when it may.

    Args:
        model: The author's newest model.
        figures: Those of the author's newest evaluation report.
        thresholds: The author's.
    """
    if model is None:
        return ["There is no trained model yet. Materialize training/adapter_weights first."]
    if model.status == "rejected":
        return [f"Model {model.version} was rejected. `twin approve {model.author} --version {model.version}` takes that back."]
    own = figures_on(model.version, figures)
    failed = [finding.description for check in GATE if not (finding := check(own, thresholds)).passed]
    return list(dict.fromkeys(failed))  # without a report all say the same


def waits(model: Model, thresholds: Thresholds) -> bool:
    """Whether a model that may serve still needs a person to say so; one that served before another replaced it does again."""
    return thresholds.policy == "manual" and undecided(model)


def undecided(model: Model) -> bool:
    """Whether nobody has let the model serve, or another one has replaced it since."""
    return model.status in ("candidate", "retired")


def waiting(registry: Registry) -> list[tuple[Model, Artifact]]:
    """Every author's newest model that passed the gate and waits for a person, with its report."""
    found: list[tuple[Model, Artifact]] = []
    for author in registry.authors():
        try:
            thresholds = registry.thresholds(author)
        except TwinError as error:  # one author's cannot be read: the others' models wait all the same
            log.warning("thresholds cannot be read", author=author, problem=str(error))
            continue
        model, report = registry.latest_model(author), registry.latest_artifact(author, "eval_report")
        if model and report and waits(model, thresholds) and not refusals(model, report.figures, thresholds):
            found.append((model, report))
    return found


def held_back(author: str, registry: Registry) -> list[str]:
    """Why nothing new is deployed for an author now; empty when the newest model may be."""
    try:
        thresholds = registry.thresholds(author)
    except TwinError as error:
        return [str(error)]
    model = registry.latest_model(author)
    if why := refusals(model, _figures(author, registry), thresholds):
        return why
    if model and waits(model, thresholds):
        return [f"Model {model.version} passed every check and waits for a person: `twin approve {author}`, or the assistant."]
    return []


def approve(author: str, actor: str, registry: Registry, *, version: str | None = None, reason: str = "") -> Model:
    """Lets a model serve that passed the gate; one that serves already does so on.

    Args:
        author: Whose twin it is.
        actor: Who says so.
        registry: Where it is noted.
        version: The model; the newest where it is left out.
        reason: Why.

    Raises:
        TwinError: When there is no such model, it did not pass the gate, or another one is newer.
    """
    model, figures = _wanted(author, version, registry), _figures(author, registry)
    if model.status == "deployed":
        return model
    judged = Model(**{**{name: getattr(model, name) for name in model.__slots__}, "status": "candidate"})
    if why := refusals(judged, figures, registry.thresholds(author)):
        raise TwinError(f"Model {model.version} cannot be approved. {' '.join(why)}")
    registry.decide(model.version, "accepted", actor, reason or PASSED, dict(figures), before=model.status)
    return model


def reject(author: str, actor: str, registry: Registry, *, version: str | None = None, reason: str = "") -> Model:
    """Keeps a model from serving, whatever it has shown.

    Raises:
        TwinError: When there is no such model, or it serves.
    """
    model = _wanted(author, version, registry)
    registry.decide(model.version, "rejected", actor, reason or "No reason given.", dict(_figures(author, registry)), before=model.status)
    return model


def _wanted(author: str, version: str | None, registry: Registry) -> Model:
    newest = registry.latest_model(author)
    if newest is None:
        raise TwinError(f"{author} has no trained model yet. Run: twin run {author}")
    if version and version != newest.version:
        raise TwinError(f"Only {author}'s newest model, {newest.version}, can be approved or rejected; {version} is another one.")
    return newest


def _figures(author: str, registry: Registry) -> Mapping[str, Any]:
    report = registry.latest_artifact(author, "eval_report")
    return report.figures if report else {}
