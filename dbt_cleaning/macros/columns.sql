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
