"""What must hold for a voice profile, as plain functions: the asset checks are shells around them."""

MIN_RECOGNISED = 0.6


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
