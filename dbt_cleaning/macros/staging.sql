{# The columns that every family of platforms has in common. #}
{% macro post_columns(first='document_id') -%}
    {{ first }},
    author,
    source,
    origin,
    platform,
    kind,
    state,
    reason,
    title,
    url,
    published_at,
    deleted_at,
    work,
    content_hash,
    blocks
{%- endmacro %}


{# Whether a platform belongs to the family; publications are all those that no other family has. #}
{% macro of_family(name) -%}
    {%- set families = ['social', 'code', 'files'] -%}
    {%- set others = [] -%}
    {%- for family in families -%}
        {%- do others.extend(var('platform_families')[family] | default([], true)) -%}
    {%- endfor -%}
    {%- if name in families -%}
        platform in ('{{ var("platform_families")[name] | default([], true) | join("', '") }}')
    {%- else -%}
        platform not in ('{{ others | join("', '") }}')
    {%- endif -%}
{%- endmacro %}
