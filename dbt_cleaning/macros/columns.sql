{# What a person reads of a document. #}
{% macro document_columns() -%}
    document_id,
    author,
    publication,
    platform,
    kind,
    language,
    title,
    url,
    published_at,
    text_for_voice,
    text_for_rag,
    voice_words,
    rag_words
{%- endmacro %}


{# Beside blocks, what is known of those that are boilerplate. #}
{% macro left_join_boilerplate() -%}
    left join {{ ref('int_repeated_blocks') }} as repeated
        on
            blocks.author = repeated.author
            and blocks.publication = repeated.publication
            and blocks.block_hash = repeated.block_hash
            and repeated.is_boilerplate
{%- endmacro %}
