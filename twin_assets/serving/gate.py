"""What a model must have shown before it may serve.

The checks on the evaluation report stop a run; this holds as well when somebody materializes the deployment alone, and it
looks at one author, where Dagster's automation sees only the newest evaluation of a check, whoever's it was.
"""

from collections.abc import Mapping
from typing import Any

from twin_assets.evaluation.quality import figures_on, no_memorised_passages, twin_beats_base
from twin_assets.store.registry import Model


def refusals(model: Model | None, figures: Mapping[str, Any]) -> list[str]:
    """Why a model may not be deployed; empty when it may.

    Args:
        model: The author's newest model.
        figures: Those of the author's newest evaluation report.
    """
    if model is None:
        return ["There is no trained model yet. Materialize training/adapter_weights first."]
    if model.status == "trained":
        return [f"Model {model.version} was not evaluated yet. Materialize evaluation/eval_report first."]
    own = figures_on(model.version, figures)
    failed = [finding.description for finding in (no_memorised_passages(own), twin_beats_base(own)) if not finding.passed]
    return list(dict.fromkeys(failed))  # without a report both say the same
