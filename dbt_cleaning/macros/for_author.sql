{# Holds a query to the author that is being built; all authors where none is given. #}
{% macro for_author(column='author') %}
    {%- if var('author', '') -%}
        {{ column }} = '{{ var("author") | replace("'", "''") }}'
    {%- else -%}
        true
    {%- endif -%}
{% endmacro %}


{# The documents that this build works on: new, changed, deleted, or in other company than before. Not by ref(), which dbt
   does not find in what generic tests call. #}
{% macro pending() -%}
    (select document_id from {{ target.schema }}.int_posts where pending and {{ for_author() }})
{%- endmacro %}


{# Those of them that are judged as they are now. A build of single models may find others; they stay pending. #}
{% macro judged() -%}
    (
        select waiting.document_id
        from {{ target.schema }}.int_posts as waiting
        left join {{ target.schema }}.int_documents as judgements on waiting.document_id = judgements.document_id
        where
            waiting.pending
            and {{ for_author('waiting.author') }}
            and (waiting.reason is not null or waiting.fingerprint = judgements.fingerprint)
    )
{%- endmacro %}


{# Holds a test to what this build has made, where the build says so; otherwise it looks at everything. #}
{% macro in_scope(column='document_id') -%}
    {% if var('changed_only', false) %}{{ column }} in {{ pending() }}{% else %}true{% endif %}
{%- endmacro %}


{# Generic tests look at one author, and in a build that says so at what it has made. #}
{% macro get_where_subquery(relation) -%}
    {%- set scoped = var('changed_only', false) and relation.identifier in var('tables_of_documents') -%}
    (select * from {{ relation }} where {{ for_author() }}{% if scoped %} and document_id in {{ pending() }}{% endif %}) as dbt_subquery
{%- endmacro %}
