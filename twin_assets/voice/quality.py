"""What must hold for a voice profile, as plain functions: the asset checks are shells around them."""

MIN_RECOGNISED = 0.6
MIN_AUC = 0.85


def author_is_recognised(author: str, rate: float, passages: int) -> tuple[bool, str]:
    """The author's own unseen passages are attributed to the author; below that no twin can be measured against the voice.

    Args:
        author: Whose voice it is.
        rate: Share of the passages attributed to the author.
        passages: How many there were.

    Returns:
        Whether it holds, and a description for a person.
    """
    found = f"{rate:.0%} of {passages} unseen passages by {author} were recognised as {author}'s"
    if rate >= MIN_RECOGNISED:
        return True, f"{found}."
    return False, (
        f"{found}; at least {MIN_RECOGNISED:.0%} are needed before a voice score means much. Add more of {author}'s own writing, and see "
        f"whether other people's text is among it (twin inspect) or the same person is registered under two names."
    )


def instrument_knows_people_apart(author: str, auc: float | None, mistaken: float) -> tuple[bool, str]:
    """The instrument tells the author from people whom it has never met, on human text; only then may it judge a machine.

    Args:
        author: Whose voice it is.
        auc: How often an unseen passage of the author's is put before a stranger's; None where it was not measured.
        mistaken: Share of strangers' passages that were taken for the author's.

    Returns:
        Whether it holds, and a description for a person.
    """
    if auc is None:
        return False, f"How well {author} is told from strangers was not measured. Materialize voice/voice_profile again."
    found = (
        f"An unseen passage by {author} was put before a stranger's in {auc:.0%} of the cases; "
        f"{mistaken:.0%} of strangers' passages were taken for {author}'s"
    )
    if auc >= MIN_AUC:
        return True, f"{found}."
    return False, (
        f"{found}; {MIN_AUC:.0%} are needed before the instrument may judge a twin. Add more of {author}'s own writing, or see whether "
        "other people's text is among it (twin inspect)."
    )
