"""The writing assistant: one page that asks the API for a draft and shows it as it is written."""

from base64 import b64encode
from collections.abc import Iterator, Sequence

import streamlit as st
from pydantic import ValidationError

from app.api.schemas import Decision, Waiting
from app.assistant.client import ApiDownError, Client
from twin_assets.features.external import READABLE
from twin_assets.settings import get_settings
from twin_assets.store.errors import TwinError
from twin_assets.writing.request import (
    MAX_FILES,
    MAX_LINKS,
    MAX_PROMPT,
    MAX_PUBLISHED,
    MAX_WORDS,
    MIN_WORDS,
    Citation,
    Draft,
    DraftRequest,
    Published,
    Voice,
)

PLATFORMS = {"linkedin": "LinkedIn", "blog": "Blog", "medium": "Medium", "substack": "Substack", None: "Anywhere"}
TRAINED = {
    "passages": "passages",
    "loss at last": "loss",
    "held-out loss at last": "held-out loss",
    "dollars": "dollars",
    "sounds like the author": "voice",
    "the same with retrieval": "voice with retrieval",
    "key points kept with retrieval": "key points",
    "longest copy, words": "longest copy",
}
SURE, UNSURE = 0.8, 0.5


def page() -> None:
    """Draws the page."""
    st.set_page_config(page_title="Writing assistant", page_icon="✍️", layout="centered")
    st.title("✍️ Writing assistant")
    st.caption("A first draft in your own voice, from your own words. It invents facts at times: check them before you publish.")
    client = Client(_api_url())
    try:
        authors, models = client.authors(), client.waiting()
    except ApiDownError as error:
        st.error(f"**The API is not running.** {error}", icon="🔌")
        st.button("Try again")
        return
    except TwinError as error:
        st.error(f"**The API cannot say who writes here.** {error}", icon="⚠️")
        st.button("Try again")
        return
    for model in models:
        _ask_approval(client, model)
    ready = [author.name for author in authors if author.deployed]
    waiting = [author.name for author in authors if not author.deployed]
    if not ready:
        st.info(_how_to_begin(waiting), icon="🌱")
        _show_trainings(client, waiting)
        return
    if waiting:
        st.caption(f"Not deployed yet: {', '.join(waiting)}.")
    request = _ask(ready)
    if request:
        st.session_state["draft"], st.session_state["request"] = _write(client, request), request
    elif draft := st.session_state.get("draft"):
        st.markdown(_as_markdown(draft.text))
    if draft := st.session_state.get("draft"):
        _show(draft)
        _ask_what_was_published(client, st.session_state["request"], draft)
    _show_trainings(client, ready + waiting)


def _show_trainings(client: Client, authors: Sequence[str]) -> None:
    """What an author's twins learned from and how they write, the newest first; also of one whose twin was not deployed."""
    if not authors:
        return
    with st.expander("Trainings"):
        author = st.selectbox("Of whom", authors)
        try:
            found = client.trainings(author)
        except TwinError as error:
            st.error(f"**The trainings cannot be shown.** {error}", icon="⚠️")
            return
        if not found:
            st.caption(f"Nothing was trained of {author}'s writing yet.")
            return
        rows = [
            {"model": one.model_version, "stage": one.status, **{name: one.figures.get(figure) for figure, name in TRAINED.items()}}
            for one in found
        ]
        st.dataframe(rows, hide_index=True, column_config={name: st.column_config.NumberColumn(format="%.3g") for name in TRAINED.values()})
        st.caption(f"`twin compare {author} A B` shows two of them in full.")


def _ask_approval(client: Client, model: Waiting) -> None:
    """A model that passed the gate, and the two buttons that end its waiting."""
    with st.container(border=True):
        st.markdown(f"**A new twin of {model.author} waits for approval.** It passed every check of the gate.")
        figures = model.figures
        shown = {
            "sound like the author": f"{figures.get('voice_twin', 0):.0%}",
            "the author's own texts do": f"{figures.get('voice_human', 0):.0%}",
            "longest copy, words": f"{figures.get('verbatim_longest', 0):.0f}",
        }
        for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
            column.metric(label, value)
        st.caption(f"Model {model.model_version} · report: {model.report}")
        by = st.text_input("Your name", max_chars=100, key=f"by-{model.model_version}")
        reason = st.text_input("Why (optional)", max_chars=1000, key=f"reason-{model.model_version}")
        yes, no, _ = st.columns([1, 1, 4])
        approved = yes.button("Approve", type="primary", key=f"yes-{model.model_version}")
        rejected = no.button("Reject", key=f"no-{model.model_version}")
        if not approved and not rejected:
            return
        if not by.strip():
            st.warning("Say who you are: the decision is noted with your name.", icon="✏️")
            return
        decision = Decision(author=model.author, model_version=model.model_version, approve=approved, by=by.strip(), reason=reason)
        try:
            client.decide(decision)
            st.success("Noted. It is deployed within minutes." if approved else "Noted. What serves now stays.")
        except TwinError as error:
            st.error(f"**Not decided.** {error}", icon="⚠️")


def _ask(authors: list[str]) -> DraftRequest | None:
    with st.form("brief", border=True):
        left, middle, right = st.columns([2, 2, 3])
        author = left.selectbox("Author", authors)
        platform = middle.selectbox("Platform", list(PLATFORMS), format_func=PLATFORMS.__getitem__)
        words = right.slider("Words, about", MIN_WORDS, MAX_WORDS, 120, step=10)
        prompt = st.text_area(
            "What is it about?", placeholder="Why I stopped estimating software projects", max_chars=MAX_PROMPT, height=100
        )
        with st.expander("Pages and files to draw on"):
            links = st.text_area("Links", placeholder="https://example.com/report", help=f"At most {MAX_LINKS}, one in a line.", height=80)
            uploads = st.file_uploader(
                "Files",
                [suffix[1:] for suffix in READABLE],
                accept_multiple_files=True,
                help=f"At most {MAX_FILES}; read for this draft only.",
            )
        asked = st.form_submit_button("Write a draft", type="primary")
    if not asked:
        return None
    st.session_state.pop("draft", None)
    files = [{"name": upload.name, "content": b64encode(upload.getvalue())} for upload in uploads]
    brief = {"author": author, "prompt": prompt, "platform": platform, "words": words}
    try:
        return DraftRequest.model_validate({**brief, "links": links.split(), "files": files})
    except ValidationError as error:
        st.warning(explain_problem(error), icon="✏️")
        return None


def explain_problem(error: ValidationError) -> str:
    """What to change in the form."""
    fields = {str(problem["loc"][0]) for problem in error.errors(include_input=False)}
    advice = {
        "prompt": "Say in a few words what the text is about.",
        "links": f"Give at most {MAX_LINKS} links, one in a line, each with http:// or https://.",
        "files": f"Give at most {MAX_FILES} files of 10 MB.",
    }
    return " ".join(words for field, words in advice.items() if field in fields) or str(error)


def _write(client: Client, request: DraftRequest) -> Draft | None:
    finished: list[Draft] = []

    def pieces() -> Iterator[str]:
        for piece in client.draft(request):
            if isinstance(piece, Draft):
                finished.append(piece)
            else:
                yield piece

    place = st.empty()
    try:
        with place.container(), st.spinner("Looking through your earlier writing ..."):
            st.write_stream(pieces())
    except TwinError as error:
        st.error(f"**No draft this time.** {error}", icon="⚠️")
        return None
    place.markdown(_as_markdown(finished[0].text))  # the final text ends at a whole sentence, the stream may not
    return finished[0]


def _show(draft: Draft) -> None:
    st.divider()
    if draft.voice:
        _show_voice(draft.author, draft.voice)
    else:
        st.caption(f"The voice was not measured. {draft.voice_missing or ''}")
    if draft.citations:
        st.subheader("What it drew on")
    for citation in draft.citations:
        _show_citation(citation)
    st.subheader("To copy")
    st.code(draft.text, language=None, wrap_lines=True)
    st.caption(f"Model {draft.model_version} · {draft.tokens} tokens in {draft.seconds:.1f} s")


def _ask_what_was_published(client: Client, request: DraftRequest, draft: Draft) -> None:
    """The draft to edit, and a button that keeps what was made of it."""
    with st.expander("What I published"), st.form("published", border=False):
        text = st.text_area("The text as you published it", draft.text, max_chars=MAX_PUBLISHED, height=200)
        st.caption("Once it stands where your writing is read from, your twin can learn from what you changed.")
        if not st.form_submit_button("Save"):
            return
        asked = {"author": draft.author, "prompt": request.prompt, "platform": request.platform, "words": request.words}
        written = {"citations": draft.citations, "draft": draft.text, "model_version": draft.model_version}
        try:
            saved = client.publish(Published.model_validate({**asked, **written, "published": text}))
        except ValidationError:
            st.warning("Say what you published.", icon="✏️")
        except TwinError as error:
            st.error(f"**Not saved.** {error}", icon="⚠️")
        else:
            st.success("Saved." if saved.changed else "Saved. You changed nothing: there is nothing to learn from it.")


def _show_voice(author: str, voice: Voice) -> None:
    number, words = st.columns([1, 3], vertical_alignment="center")
    number.metric("Voice", f"{voice.score:.0%}", help="Probability that the author wrote this rather than somebody else.")
    words.markdown(explain(author, voice))
    if not voice.pulls and not voice.odd_sentences:
        return
    with st.expander(f"What sounds unlike {author}"):
        for odd in voice.odd_sentences:
            st.text(f"\u201c{odd.sentence}\u201d")
        st.table({"": [pull.feature for pull in voice.pulls], "here": _rates(voice, "text"), author: _rates(voice, "author")})
        st.caption("Per 1,000 words and marks.")


def _rates(voice: Voice, of: str) -> list[str]:
    return [f"{getattr(pull, of):.1f}" for pull in voice.pulls]


def explain(author: str, voice: Voice) -> str:
    """The voice score in plain words."""
    sure = f"With {voice.words} words it lies between {voice.low:.0%} and {voice.high:.0%}."
    if voice.high - voice.low > UNSURE:
        sure = f"With {voice.words} words that is hardly more than a guess ({voice.low:.0%} to {voice.high:.0%})."
    if not voice.own:
        return f"This sounds more like {named(voice.attributed_to)} than like {author}. {sure}"
    habit = f"{voice.typicality:.0%} of {author}'s own passages sound less like {author} than this one."
    return f"This {'clearly ' if voice.low >= SURE else ''}sounds like **{author}**. {habit} {sure}"


def named(voice: str) -> str:
    """A control voice as a person would call it."""
    if voice.startswith("writer-"):
        return "**another writer**"
    return "**a language model**" if voice in ("generic-llm", "polite-machine") else f"**{voice}**"


def _show_citation(citation: Citation) -> None:
    title = citation.title or (citation.url if citation.document_id is None else None) or "Untitled"
    date = f" · {citation.published_at:%-d %B %Y}" if citation.published_at else ""
    origin = "" if citation.document_id else " · given with the request"
    with st.expander(f"{title}{date}{origin}"):
        st.text(citation.quote)
        if citation.url and citation.url.startswith(("https://", "http://")):
            st.link_button("Read it", citation.url)


def _as_markdown(text: str) -> str:
    return text.replace("\n", "  \n").replace("$", "\\$")


def _how_to_begin(waiting: list[str]) -> str:
    if waiting:
        return f"**No twin is deployed yet.** Train and deploy one with `twin run {waiting[0]}`."
    return "**Nobody writes here yet.** Add yourself with `twin add NAME --source PATH`, then `twin run NAME`."


def _api_url() -> str:
    settings = get_settings()
    return settings.api_url or f"http://127.0.0.1:{settings.api_port}"


if __name__ == "__main__":  # Streamlit runs the file as the main script
    page()
