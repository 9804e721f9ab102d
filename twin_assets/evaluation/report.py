"""The evaluation report: one HTML file that needs nothing beside it, and the same as Markdown.

The texts in it were written by a model or taken from anyone's posts: every one is escaped.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from typing import Any

from twin_assets.evaluation.judge import Judgement
from twin_assets.evaluation.judge_report import judge_html, judge_markdown
from twin_assets.evaluation.rungs import Ladder, Rung, RungName
from twin_assets.evaluation.statistics import Difference, evenly, wilson
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.separability import Separability
from twin_assets.voice.surface import draw_surfaces, surface

SAMPLES = 3
NO_JUDGE = Judgement()

LABELS: dict[RungName, str] = {
    "base": "Base model",
    "base_few_shot": "Base + few-shot",
    "base_few_shot_rag": "Base + few-shot + RAG",
    "twin": "Twin",
    "twin_rag": "Twin + RAG",
    "other_twin": "Another author's twin",
    "human": "The author",
}
_COLOURS: dict[RungName, str] = {
    "base": "#b3bac6",
    "base_few_shot": "#8b95a5",
    "base_few_shot_rag": "#6b7585",
    "twin": "#2f6fdf",
    "twin_rag": "#1d4ba3",
    "other_twin": "#8e6bbf",
    "human": "#d9822b",
}
_COLUMNS = (
    ("Texts", "how many were written"),
    ("Sounds like the author", "texts attributed to the author rather than to a control voice, with the Wilson 95 % interval"),
    ("Voice score", "mean calibrated probability that the author wrote it; a text that says too little counts as 0"),
    ("Told apart", "AUC of a classifier that is trained to tell these texts from the author's, with its interval: 0.5 is that it cannot"),
    ("Slop", "marks of machine-written prose per 1,000 words"),
    ("Longest copy", "longest run of words that stands in the training texts, outside quotes"),
    ("Memorised", "the same, where neither the prompt nor the base model accounts for it"),
    ("8-grams", "share of the runs of eight words that stand in the training texts, outside quotes"),
    ("Key points", "share of the brief's key points that stand in the text"),
    ("Meaning", "cosine similarity to what the author really wrote there"),
    ("ROUGE\u2011L", "longest common subsequence of words with what the author really wrote there"),
    ("chrF", "character n-grams shared with what the author really wrote there"),
    ("On topic", "cosine similarity to the prompt"),
    ("Words", "mean length"),
)

_MEANT = {
    "voice": "Texts that sound like the author: twin over base + few-shot + RAG",
    "voice_rag": "Texts that sound like the author: twin + RAG over base + few-shot + RAG",
    "ceiling": "Texts that sound like the author: twin over the author",
    "content": "Meaning: twin + RAG over base + few-shot + RAG",
    "facts": "Key points kept: twin + RAG over base + few-shot + RAG",
    "other": "Voice score: own twin over another author's twin",
}

_STYLE = """
:root { --ink: #1b2230; --soft: #5b6576; --line: #e3e7ed; --ground: #f6f7f9; --accent: #2f6fdf; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 12px; }
.lead { color: var(--soft); margin: 0 0 24px; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px; }
.card b { display: block; font-size: 28px; letter-spacing: -.02em; }
.card span { color: var(--soft); font-size: 14px; }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 9px 8px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
thead th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
tbody tr:last-child td { border-bottom: 0; }
.ladder tbody tr:last-child td { background: #fdf6ee; }
small { color: var(--soft); }
figure { margin: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 14px; }
.plots img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 12px; }
.plots img:last-child { grid-column: 1 / -1; }
.prompt { background: #fff; border: 1px solid var(--line); border-left: 4px solid var(--accent); border-radius: 8px;
  padding: 12px 16px; margin: 0 0 12px; }
.texts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px; margin-bottom: 32px; }
.text { background: #fff; border: 1px solid var(--line); border-top: 4px solid; border-radius: 8px; padding: 12px 16px; min-width: 0; }
.text h3 { font-size: 14px; margin: 0 0 8px; display: flex; justify-content: space-between; gap: 8px; }
.text h3 span { font-weight: 400; color: var(--soft); }
.prose { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 15px; }
dl { font-size: 14px; color: var(--soft); columns: 2 340px; }
dt { font-weight: 600; color: var(--ink); }
dd { margin: 0 0 8px; break-before: avoid; }
blockquote { margin: 0; padding: 12px 16px; background: #fff; border-left: 4px solid var(--line); overflow-wrap: anywhere; }
"""


def plots(ladder: Ladder) -> dict[str, bytes]:
    """The plots as PNG files: voice, slop and the longest verbatim run of each rung."""
    return {
        "voice.png": _voice_plot(ladder),
        "slop.png": _slop_plot(ladder),
        "verbatim.png": _verbatim_plot(ladder),
        "surface.png": _surface_plot(ladder),
    }


def to_html(ladder: Ladder, images: dict[str, bytes], judgement: Judgement = NO_JUDGE) -> str:
    """The report as one HTML file, plots included."""
    head = "".join(f'<th title="{escape(meaning)}">{escape(name)}</th>' for name, meaning in _COLUMNS)
    rows = "".join(_row(rung) for rung in ladder.rungs)
    legend = "".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in _COLUMNS)
    pictures = "".join(
        f'<img alt="{escape(_ALTERNATIVES[name])}" src="data:image/png;base64,{b64encode(data).decode()}">' for name, data in images.items()
    )
    cards = "".join(f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>' for label, value in _headline(ladder))
    differences = "".join(
        f"<tr><td>{escape(_MEANT[name])}</td><td>{one.mean:+.2f}</td><td>{one.low:+.2f} to {one.high:+.2f}</td></tr>"
        for name, one in ladder.differences.items()
    )
    title = escape(f"How well the twin of {ladder.author} writes")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body><main>
<h1>{title}</h1>
<p class="lead">Model <code>{escape(ladder.model_version)}</code> on {len(ladder.tasks)} prompts from documents that it never saw.
The last row is the author's own writing on the same prompts: the ceiling.{escape(_made_with(ladder))}</p>
<div class="cards">{cards}</div>
<h2>The ladder</h2>
<div class="scroll"><table class="ladder"><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>
<h2>Differences over the same prompts</h2>
<div class="scroll"><table><thead><tr><th></th><th>mean</th><th>95 % interval</th></tr></thead><tbody>{differences}</tbody></table></div>
<h2>What was retrieved</h2>
<p>{escape(_retrieved(ladder))}</p>
<h2>A second opinion on the style</h2>
<p>{escape(_second_opinion(ladder))}</p>
{judge_html(judgement, LABELS)}
<h2>In pictures</h2>
<figure class="plots">{pictures}</figure>
<h2>The same prompts, side by side</h2>
{"".join(_sample(ladder, place) for place in evenly(len(ladder.tasks), SAMPLES))}
{_findings(ladder)}
<h2>What the columns mean</h2>
<dl>{legend}</dl>
</main></body>
</html>
"""


def to_markdown(ladder: Ladder, judgement: Judgement = NO_JUDGE) -> str:
    """The report as Markdown; its plots lie beside it."""
    samples = [line for place in evenly(len(ladder.tasks), SAMPLES) for line in _markdown_sample(ladder, place)]
    lines = [
        f"# How well the twin of {_plain(ladder.author)} writes",
        "",
        f"Model `{ladder.model_version}` on {len(ladder.tasks)} prompts from documents that it never saw. "
        f"The last row is the author's own writing on the same prompts: the ceiling.{_made_with(ladder)}",
        "",
        table(ladder),
        "",
        "## Differences over the same prompts",
        "",
        differences_table(ladder.differences),
        "",
        "## What was retrieved",
        "",
        _retrieved(ladder),
        "",
        "## A second opinion on the style",
        "",
        _second_opinion(ladder),
        "",
        judge_markdown(judgement, LABELS),
        "",
        *(f"![{text}]({name})\n" for name, text in _ALTERNATIVES.items()),
        "## The same prompts, side by side",
        "",
        *samples,
        "## What the columns mean",
        "",
        *(f"- **{name}**: {meaning}" for name, meaning in _COLUMNS),
        "",
    ]
    return "\n".join(lines)


def table(ladder: Ladder) -> str:
    """The ladder as a Markdown table."""
    header = ["", *(name for name, _ in _COLUMNS)]
    rows = [[LABELS[rung.name], *(re.sub(r"</?small>", "", cell) for cell in _cells(rung))] for rung in ladder.rungs]
    lines = [header, ["---", *["---:"] * len(_COLUMNS)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def differences_table(differences: dict[str, Difference]) -> str:
    """The differences as a Markdown table."""
    rows = [f"| {_MEANT[name]} | {one.mean:+.2f} | {one.low:+.2f} to {one.high:+.2f} |" for name, one in differences.items()]
    return "\n".join(["| | mean | 95 % interval |", "|---|---:|---:|", *rows])


def _made_with(ladder: Ladder) -> str:
    if not ladder.versions:
        return ""
    versions = ", ".join(f"{name.removesuffix('_version')} {version}" for name, version in ladder.versions.items())
    return f" Made with {versions}."


def _retrieved(ladder: Ladder) -> str:
    found = ladder.context
    if found is None:
        return "No prompt was given passages of the author's writing."
    return (
        f"The passages that {found.tasks} prompts were given, beside what the author wrote there, by meaning: context precision "
        f"{found.precision:.2f} (near ones, and those first), context recall {found.recall:.2f} (sentences that a passage is near to)."
    )


def _second_opinion(ladder: Ladder) -> str:
    found = ladder.opinion
    if found is None:
        return "No encoder of style is set (TWIN_STYLE_ENCODER). Nothing above needs one."
    if isinstance(found, NotEnough):
        return f"The encoder of style has no say. {found.reason}"
    shares = ", ".join(f"{LABELS[name]} {share:.0%}" for name, share in found.own.items())
    return f"An encoder of style, which gave {found.right:.0%} of unseen texts to the right side in its trial, takes for the author's: {shares}."


def _row(rung: Rung) -> str:
    cells = "".join(f"<td>{cell}</td>" for cell in _cells(rung))
    return f"<tr><td>{escape(LABELS[rung.name])}</td>{cells}</tr>"


def _cells(rung: Rung) -> list[str]:
    low, high = wilson(rung.own, len(rung.texts))
    human = rung.name == "human"  # measured against itself: 1 by definition
    against_real = ["\u2013"] * 3 if human else [f"{value:.2f}" for value in (rung.content.to_real, rung.content.rouge, rung.content.chrf)]
    return [
        str(len(rung.texts)),
        f"{rung.own} of {len(rung.texts)} = {rung.attribution:.0%} <small>({low:.0%} to {high:.0%})</small>",
        f"{rung.voice_score:.2f}",
        _told_apart(rung),
        f"{rung.slop.per_1000:.1f}",
        f"{rung.verbatim.words}",
        "\u2013" if human else f"{rung.memorised.words}",
        f"{rung.overlap:.1%}",
        "\u2013" if rung.facts_kept is None else f"{rung.facts_kept:.0%}",
        *against_real,
        f"{rung.content.to_prompt:.2f}",
        f"{rung.words:.0f}",
    ]


def _told_apart(rung: Rung) -> str:
    found = rung.separable
    if isinstance(found, Separability):
        return f"{found.auc:.2f} <small>({found.low:.2f} to {found.high:.2f})</small>"
    return "too few" if isinstance(found, NotEnough) else "\u2013"


def _headline(ladder: Ladder) -> list[tuple[str, str]]:
    by_name = {rung.name: rung for rung in ladder.rungs}
    twin, base, human = by_name["twin"], by_name["base"], by_name["human"]
    return [
        ("of the twin's texts sound like the author", f"{twin.attribution:.0%}"),
        ("of the base model's texts do", f"{base.attribution:.0%}"),
        ("of the author's own texts do: the ceiling", f"{human.attribution:.0%}"),
        (f"marks of machine prose per 1,000 words; the author: {human.slop.per_1000:.1f}", f"{twin.slop.per_1000:.1f}"),
        ("words in a row, at most, taken from the training texts", str(int(ladder.figures["verbatim_longest"]))),
    ]


def _sample(ladder: Ladder, place: int) -> str:
    columns = "".join(
        f'<section class="text" style="border-top-color:{_COLOURS[rung.name]}"><h3>{escape(LABELS[rung.name])}'
        f"<span>{_said(rung, place)}</span></h3>"
        f'<div class="prose" dir="auto">{escape(rung.texts[place]) or "<em>nothing</em>"}</div></section>'
        for rung in ladder.rungs
    )
    return f'<div class="prompt prose" dir="auto">{escape(ladder.tasks[place].request)}</div><div class="texts">{columns}</div>'


def _said(rung: Rung, place: int) -> str:
    voice = rung.voices[place]
    return "too little to score" if isinstance(voice, NotEnough) else f"voice {voice.score:.2f} ({voice.low:.2f} to {voice.high:.2f})"


def _findings(ladder: Ladder) -> str:
    """What stands behind two of the numbers: the longest copy, and the marks of machine prose that were found."""
    parts = []
    for rung in ladder.rungs:
        marks = ", ".join(f"{escape(mark)} ({count})" for mark, count in list(rung.slop.hits.items())[:12]) or "none"
        quote = escape(rung.verbatim.quote) or "No run of four words or more."
        copy = f'<blockquote dir="auto">{quote}</blockquote>'
        parts.append(f"<h3>{escape(LABELS[rung.name])}</h3><p><small>Marks of machine prose: {marks}. Longest copy:</small></p>{copy}")
    return f"<h2>Behind the numbers</h2>{''.join(parts)}"


def _markdown_sample(ladder: Ladder, place: int) -> list[str]:
    lines = ["### Prompt", "", _fenced(ladder.tasks[place].request), ""]
    for rung in ladder.rungs:
        lines += [f"**{LABELS[rung.name]}** ({_said(rung, place)})", "", _fenced(rung.texts[place]), ""]
    return lines


def _fenced(text: str) -> str:
    """A code block that the text cannot end: the fence is longer than any run of backticks in it."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 3)
    return f"{fence}text\n{text}\n{fence}"


def _plain(text: str) -> str:
    return re.sub(r"[^\w .'-]", "", text)


_ALTERNATIVES = {
    "voice.png": "Share of texts attributed to the author, per rung, with the author's own writing as the ceiling",
    "slop.png": "Marks of machine-written prose per 1,000 words, per rung, against the author's own writing",
    "verbatim.png": "Longest run of words taken from the training texts, per rung",
    "surface.png": "Sentences, paragraphs, punctuation, pronouns, openings, emoji and lists: the author, the twin and the base model",
}


def _voice_plot(ladder: Ladder) -> bytes:
    models, human = ladder.rungs[:-1], ladder.rungs[-1]
    shares = [rung.attribution for rung in models]
    intervals = [wilson(rung.own, len(rung.texts)) for rung in models]
    below = [share - low for share, (low, _) in zip(shares, intervals, strict=True)]
    above = [high - share for share, (_, high) in zip(shares, intervals, strict=True)]

    def draw(axes: Any) -> None:
        axes.bar(_names(models), shares, color=_colours(models), width=0.62)
        axes.errorbar(range(len(models)), shares, yerr=[below, above], fmt="none", ecolor="#1b2230", elinewidth=1, capsize=4)
        for place, share in enumerate(shares):
            axes.text(place, 0.02, f"{share:.0%}", ha="center", color="white", fontweight="bold")
        _line(axes, human.attribution, f"the author {human.attribution:.0%}")
        axes.set_ylim(0, 1.12)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value <= 1 else "")

    return _png("Texts that sound like the author", draw)


def _slop_plot(ladder: Ladder) -> bytes:
    models, human = ladder.rungs[:-1], ladder.rungs[-1]

    def draw(axes: Any) -> None:
        bars = axes.bar(_names(models), [rung.slop.per_1000 for rung in models], color=_colours(models), width=0.62)
        axes.bar_label(bars, fmt="%.1f", padding=3)
        _line(axes, human.slop.per_1000, f"the author {human.slop.per_1000:.1f}")
        axes.margins(y=0.2)

    return _png("Marks of machine prose per 1,000 words", draw)


def _verbatim_plot(ladder: Ladder) -> bytes:
    def draw(axes: Any) -> None:
        bars = axes.bar(_names(ladder.rungs), [rung.verbatim.words for rung in ladder.rungs], color=_colours(ladder.rungs), width=0.62)
        axes.bar_label(bars, padding=3)
        axes.margins(y=0.2)

    return _png("Longest run of words from the training texts", draw)


def _surface_plot(ladder: Ladder) -> bytes:
    shown: tuple[RungName, ...] = ("human", "twin", "base")
    rungs = [ladder.by_name[name] for name in shown]
    return draw_surfaces({LABELS[rung.name]: surface(rung.texts) for rung in rungs}, _colours(rungs))


def _names(rungs: Sequence[Rung]) -> list[str]:
    return [LABELS[rung.name].replace(" + ", "\n+ ").replace("Another ", "Another\n") for rung in rungs]


def _colours(rungs: Sequence[Rung]) -> list[str]:
    return [_COLOURS[rung.name] for rung in rungs]


def _line(axes: Any, height: float, label: str) -> None:
    axes.axhline(height, color=_COLOURS["human"], linestyle="--", linewidth=1.5, label=label)
    axes.legend(loc="upper left", frameon=False)


def _png(title: str, draw: Callable[[Any], None]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color="#1b2230")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, labelsize=9)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
