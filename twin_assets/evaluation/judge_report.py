"""What the report says of a judge. A judge's reason holds an address and a model's name: all of it is escaped."""

import re
from collections.abc import Mapping
from html import escape

from twin_assets.evaluation.judge import ACCURACY, UNREADABLE, Judgement
from twin_assets.evaluation.rungs import RungName

TITLE = "What a judge says"
_STEPS = {
    "twin": "Twin over base + few-shot + RAG",
    "twin_rag": "Twin + RAG over base + few-shot + RAG",
    "twin_over_human": "Twin over the author",
}
_METRICS = {
    "faithfulness": "Faithfulness to the retrieved passages (0 to 1)",
    "answer_accuracy": "Answer accuracy against what the author wrote (0 to 1)",
    "rubric": "Rubric: makes the author's points (1 to 5)",
}
_VOICE_HEADER: tuple[str, ...] = ("Which of the two did the author write?", "won", "95 % interval", "lost", "undecided", "unreadable")

Table = list[list[str]]


def judge_html(judgement: Judgement, labels: Mapping[RungName, str]) -> str:
    """The section for a browser."""
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in _lines(judgement))
    tables = "".join(_html_table(rows) for rows in _tables(judgement, labels))
    return f"<h2>{TITLE}</h2>{paragraphs}{tables}"


def judge_markdown(judgement: Judgement, labels: Mapping[RungName, str]) -> str:
    """The section as Markdown."""
    parts = [f"## {TITLE}", *(_plain(line) for line in _lines(judgement))]
    return "\n\n".join([*parts, *(_markdown_table(rows) for rows in _tables(judgement, labels))])


def _lines(judgement: Judgement) -> list[str]:
    known = judgement.known
    match judgement.status:
        case "none":
            return ["No judge is set (TWIN_JUDGE_URL). Nothing above needs one."]
        case "down":
            return [f"The judge could not be asked. {judgement.reason} It is asked again when the report is made again."]
        case "dropped":
            return [f"{judgement.judge} was dropped as a judge, and asked nothing else. {judgement.reason}"]
    lines = [
        f"{judgement.judge}, which decides nothing. Every pair was asked in both orders; one whose answers disagree is undecided.",
    ]
    if known:
        low, high = known.interval("win")
        lines.append(
            f"Of {len(known.verdicts)} pairs of which the author wrote one, it got {known.right:.0%} right ({low:.0%} to {high:.0%}); "
            f"below {ACCURACY:.0%} it is not asked."
        )
    if judgement.tallies and not judgement.voice_kept:
        lines.append(f"What it said on voice is left out: {judgement.unreadable:.1%} of its answers were none, {UNREADABLE:.0%} may be.")
    for metric in judgement.metrics:
        if not metric.kept:
            lines.append(
                f"{_METRICS[metric.name]} is left out: {metric.unread} of {metric.texts} texts got no answer that can be read "
                f"({metric.unreadable:.1%}), {UNREADABLE:.0%} may be."
            )
    return lines


def _tables(judgement: Judgement, labels: Mapping[RungName, str]) -> list[Table]:
    found: list[Table] = []
    if judgement.voice_kept:
        rows: Table = [[*_VOICE_HEADER]]
        for tally in judgement.tallies:
            low, high = tally.interval("win")
            shares = [f"{tally.share(verdict):.0%}" for verdict in ("win", "loss", "undecided")]
            rows.append(
                [
                    _STEPS[tally.step],
                    shares[0],
                    f"{low:.0%} to {high:.0%}",
                    *shares[1:],
                    f"{tally.count('unreadable')} of {len(tally.verdicts)}",
                ]
            )
        found.append(rows)
    if kept := [metric for metric in judgement.metrics if metric.kept]:
        rungs: list[RungName] = [rung for rung in labels if any(rung in metric.means for metric in kept)]
        rows = [["On content", *(labels[rung] for rung in rungs), "unreadable"]]
        for metric in kept:
            means = [f"{metric.means[rung]:.2f}" if rung in metric.means else "\u2013" for rung in rungs]
            rows.append([_METRICS[metric.name], *means, f"{metric.unreadable:.1%}"])
        found.append(rows)
    return found


def _html_table(rows: Table) -> str:
    head, *body = rows
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'


def _markdown_table(rows: Table) -> str:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(line: str) -> str:
    return re.sub(r"[<>`\[\]|*\\\n]", "", line)
