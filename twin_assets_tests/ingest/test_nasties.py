"""What real collections hold that breaks naive collectors, and for each kind the tests that show what becomes of it.

A row names the tests by file and function. When one of them is renamed or goes, its row fails here.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.pages import read_page
from twin_assets.ingest.posts import canonical_url, parse_date

TESTS = Path(__file__).parent.parent

NASTIES: dict[str, tuple[str, ...]] = {
    "LinkedIn's broken line ends": (
        "ingest/test_sources.py::test_the_artifact_is_undone_exactly",
        "ingest/test_sources.py::test_line_breaks_without_the_artifact_keep_their_quotes",
        "ingest/sources/test_linkedin.py::test_quotes_that_are_escaped_by_a_backslash",
        "ingest/sources/test_linkedin.py::test_the_real_export_is_accounted_for_without_artifacts",
    ),
    "bare reposts, retweets, boosts, restacks": (
        "ingest/test_sources.py::test_linkedin",
        "ingest/sources/test_x.py::test_retweets_are_shared_though_the_archive_says_that_they_are_none",
        "ingest/sources/test_x.py::test_words_before_a_retweet_by_hand_are_mine_and_the_rest_is_a_quote",
        "ingest/sources/test_mastodon.py::test_boosts_are_shared",
        "ingest/sources/test_bluesky.py::test_reposts_come_under_every_filter_and_are_shared",
        "ingest/sources/test_substack.py::test_restacks_podcasts_and_threads_are_not_asked_for",
    ),
    "guest and co-author posts": (
        "ingest/test_posts.py::test_a_guest_is_foreign_and_the_main_author_is_not",
        "ingest/test_posts.py::test_named_authors_are_told_from_guests_and_co_authors",
        "ingest/sources/test_llm_twin.py::test_the_byline_in_the_text_tells_guests",
        "ingest/sources/test_substack.py::test_guests_and_co_authors_are_foreign",
        "ingest/sources/test_wordpress.py::test_coauthors_come_before_the_one_who_uploaded_it",
    ),
    "responses and comments": (
        "ingest/sources/test_medium.py::test_a_response_is_a_comment_without_a_title",
        "ingest/sources/test_linkedin.py::test_what_a_comment_quotes_is_not_its_authors",
        "ingest/sources/test_github.py::test_issues_keep_line_breaks_mark_quotes_and_lose_templates",
        "ingest/sources/test_github.py::test_comments_are_mine_or_only_counted",
        "ingest/sources/test_wordpress.py::test_own_comments_are_read_and_those_of_others_are_not",
        "ingest/test_posts.py::test_two_comments_in_one_second_are_two",
    ),
    "cross-posts": (
        "ingest/test_works.py::test_the_same_text_with_another_platforms_additions_is_one_work",
        "ingest/test_works.py::test_a_teaser_of_an_article_is_a_post_of_its_own",
        "ingest/test_works.py::test_an_alias_takes_over_when_the_standing_post_is_deleted",
        "ingest/test_works.py::test_deleting_an_alias_keeps_the_work_and_deleting_all_deletes_it",
        "ingest/sources/test_medium.py::test_a_story_whose_original_stands_elsewhere_is_a_cross_post",
    ),
    "paywalled teasers": (
        "ingest/test_pages.py::test_a_paywall_makes_a_post_partial",
        "ingest/sources/test_medium.py::test_a_story_for_members_is_partial",
        "ingest/sources/test_substack.py::test_paid_posts_are_partial_without_a_cookie",
        "ingest/sources/test_substack.py::test_the_export_completes_a_paid_post_and_the_web_does_not_undo_it",
        "ingest/test_sync.py::test_a_whole_post_replaces_another_sources_teaser",
    ),
    "auth walls, bot checks and cookie banners": (
        "ingest/test_pages.py::test_a_challenge_is_never_a_post",
        "ingest/test_web.py::test_every_failure_has_a_type",
        "ingest/sources/test_medium.py::test_a_bot_check_with_status_200_is_no_story",
        "ingest/test_browser_pages.py::test_a_session_that_has_ended_needs_a_login_and_nothing_more_is_asked",
    ),
    "JSON-LD inside of CDATA": ("ingest/test_nasties.py::test_json_ld_inside_of_cdata_is_read",),
    "lines of the interface": (
        "ingest/test_html.py::test_substack_widgets_go_and_words_stay",
        "ingest/sources/test_llm_twin.py::test_a_page_of_substack_comes_out_as_the_post",
        "ingest/sources/test_llm_twin.py::test_what_three_of_ten_posts_repeat_is_the_publications",
        "cleaning/test_build.py::test_a_paragraph_of_many_documents_is_boilerplate_and_a_habit_of_few_is_not",
    ),
    "code": (
        "ingest/test_html.py::test_consecutive_medium_pres_are_one_block",
        "ingest/test_html.py::test_language_of_code",
        "ingest/test_markdown.py::test_code_inside_a_list_is_code",
        "ingest/test_markdown.py::test_shortcodes_in_code_stay",
        "ingest/sources/test_github.py::test_code_is_verbatim_with_its_language",
        "cleaning/test_build.py::test_the_voice_is_the_authors_prose_untouched",
    ),
    "quotations, pull quotes and embeds": (
        "ingest/test_html.py::test_others_words_are_marked",
        "ingest/sources/test_medium.py::test_quotes_and_embeds_are_not_own_words",
        "ingest/sources/test_bluesky.py::test_quotes_and_cards_are_embeds_and_alternative_texts_captions",
        "ingest/sources/test_llm_twin.py::test_boxes_and_cards_in_the_text_go_and_what_they_show_is_not_said_by_the_author",
    ),
    "pictures, alternative texts and captions": (
        "ingest/test_nasties.py::test_an_alternative_text_counts_only_when_somebody_wrote_it",
        "ingest/sources/test_medium.py::test_captions_are_kept_and_pictures_are_not",
    ),
    "raw HTML, Liquid, shortcodes and MDX": (
        "ingest/test_markdown.py::test_hugo_shortcodes",
        "ingest/test_markdown.py::test_liquid_and_mdx",
        "ingest/test_markdown.py::test_raw_html_in_markdown",
        "ingest/test_markdown.py::test_no_tag_is_left_in_prose",
        "ingest/test_markdown.py::test_a_real_blog_is_read_without_leftovers",
    ),
    "drafts, unlisted and scheduled posts": (
        "ingest/sources/test_medium.py::test_drafts",
        "ingest/sources/test_substack.py::test_every_row_of_an_export_is_in_one_state",
        "ingest/sources/test_linkedin.py::test_an_export_as_folder_and_zip",
        "ingest/sources/test_ghost.py::test_every_post_in_one_state",
        "ingest/sources/test_mastodon.py::test_only_what_is_for_everyone_is_kept",
    ),
    "deletion": (
        "ingest/sources/test_x.py::test_deleted_posts_leave_no_text",
        "ingest/sources/test_x.py::test_a_post_in_both_lists_is_deleted",
        "ingest/sources/test_linkedin.py::test_the_change_log_creates_edits_and_deletes",
        "ingest/test_sync.py::test_edits_replace_and_what_vanished_gets_a_tombstone",
        "ingest/test_sync.py::test_a_listing_may_err_once",
        "ingest/test_sync.py::test_a_page_that_answers_404_goes_a_day_later",
        "features/test_embedding.py::test_a_vanished_document_goes_with_its_vectors",
    ),
    "edits": (
        "ingest/test_sync.py::test_an_edit_is_a_revision",
        "ingest/test_sync.py::test_a_second_sync_writes_nothing",
        "ingest/sources/test_x.py::test_an_edited_post_is_its_last_version_under_its_first_id",
        "ingest/sources/test_feed.py::test_dates_names_and_edits",
        "features/test_embedding.py::test_an_edit_embeds_only_what_changed",
    ),
    "several addresses of one post": (
        "ingest/test_posts.py::test_one_spelling_of_a_url",
        "ingest/test_posts.py::test_medium_has_one_key_for_all_addresses_of_a_post",
        "ingest/sources/test_llm_twin.py::test_tracking_is_no_part_of_the_key",
        "ingest/sources/test_linkedin.py::test_a_post_has_one_key_under_all_its_addresses",
        "ingest/sources/test_x.py::test_short_links_are_expanded_and_links_to_own_pictures_dropped",
        "ingest/test_nasties.py::test_a_short_link_that_cannot_be_resolved_stays_as_it_is",
    ),
    "decorated letters, emoji and accents": (
        "ingest/test_html.py::test_typography_and_emoji_are_untouched",
        "cleaning/test_build.py::test_the_voice_is_the_authors_prose_untouched",
        "cleaning/test_build.py::test_retrieval_gets_everything_worth_finding",
        "ingest/test_works.py::test_short_posts_have_to_be_equal_or_nearly",
    ),
    "languages": ("ingest/test_works.py::test_texts_without_blanks_between_words",),
    "very short and very long posts": (
        "features/test_chunking.py::test_a_post_that_the_embedder_reads_whole_is_one_chunk",
        "features/test_chunking.py::test_a_short_code_block_stays_whole_with_the_prose_around_it",
        "features/test_chunking.py::test_the_embedder_reads_every_chunk_to_its_end",
        "cleaning/test_documents.py::test_undated_short_and_other_kinds_are_trained_on",
    ),
    "private data": (
        "ingest/test_files.py::test_private_members_are_listed_and_not_opened",
        "ingest/sources/test_linkedin.py::test_private_files_are_never_opened",
        "ingest/sources/test_linkedin.py::test_the_change_log_is_not_kept_since_it_holds_messages",
        "ingest/sources/test_substack.py::test_lists_of_readers_are_accounted_for_and_never_opened",
        "ingest/sources/test_x.py::test_private_files_are_accounted_for_and_never_opened",
        "ingest/sources/test_mastodon.py::test_likes_and_bookmarks_are_never_opened",
    ),
    "dirty exports": (
        "ingest/test_files.py::test_names_that_point_outside_are_refused_and_accounted_for",
        "ingest/test_files.py::test_a_bomb_by_its_ratio",
        "ingest/test_files.py::test_names_in_any_encoding",
        "ingest/test_files.py::test_a_wrong_checksum_of_one_member_keeps_the_rest",
        "ingest/test_files.py::test_a_table_however_it_is_saved",
        "ingest/test_sources.py::test_missing_columns_are_named",
        "ingest/test_posts.py::test_repeated_posts_are_kept_once_and_all_accounted_for",
        "ingest/sources/test_linkedin.py::test_one_broken_table_keeps_the_rest_and_deletes_nothing",
        "ingest/sources/test_x.py::test_a_broken_part_cuts_the_archive_short_and_one_alone_is_an_error",
    ),
    "writing with an assistant's help": ("ingest/test_posts.py::test_the_owner_draws_the_line",),
    "clocks": (
        "ingest/test_posts.py::test_dates",
        "ingest/sources/test_x.py::test_dates_are_utc_and_ids_tell_them_where_they_are_missing",
        "ingest/sources/test_linkedin.py::test_numbers_tell_when_something_was_written",
        "ingest/test_nasties.py::test_every_clock_ends_in_utc",
    ),
}


@cache
def functions(file: str) -> frozenset[str]:
    """Names of the tests in a file."""
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("nasty", NASTIES)
def test_every_nasty_has_its_tests(nasty: str) -> None:
    assert [test for test in NASTIES[nasty] if test.split("::")[1] not in functions(test.split("::")[0])] == []


def test_json_ld_inside_of_cdata_is_read() -> None:
    data = '{"@type": "BlogPosting", "headline": "A title", "datePublished": "2024-03-01", "author": {"name": "Jane Doe"}}'
    words = " ".join(f"word{number}" for number in range(80))
    for before, after in (("<![CDATA[", "]]>"), ("//<![CDATA[\n", "\n//]]>")):
        script = f'<script type="application/ld+json">{before}{data}{after}</script>'
        page = read_page(f"<html><head>{script}</head><body><article><h1>A title</h1><p>{words}</p></article></body></html>")
        assert (page.bylines, str(page.published_at)[:10]) == (("Jane Doe",), "2024-03-01")


def test_an_alternative_text_counts_only_when_somebody_wrote_it() -> None:
    pictures = "".join(f'<img src="a" alt="{alt}">' for alt in ("", "IMG_0042.jpg", "image", "My desk in May"))
    assert [(block.type, block.text) for block in html_blocks(f"<p>Before. {pictures}</p>")] == [
        ("paragraph", "Before."),
        ("caption", "My desk in May"),
    ]


def test_a_short_link_that_cannot_be_resolved_stays_as_it_is() -> None:
    assert canonical_url("https://lnkd.in/dAbC-1?trk=x") == "https://lnkd.in/dAbC-1"
    assert html_blocks("<p>See https://lnkd.in/dAbC-1</p>")[0].text == "See https://lnkd.in/dAbC-1"


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-01 10:00:00",
        "2024-03-01T12:00:00+02:00",
        "Fri, 01 Mar 2024 05:00:00 -0500",
        "2024-03-01 10:00:00 UTC",
        "2024-03-01T10:00:00.000Z",
    ],
)
def test_every_clock_ends_in_utc(written: str) -> None:
    assert str(parse_date(written)) == "2024-03-01 10:00:00+00:00"
