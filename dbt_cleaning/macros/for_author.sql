{# Holds a query to the author that is being built; all authors where none is given. #}
{% macro for_author(column='author') %}
    {%- if var('author', '') -%}
        {{ column }} = '{{ var("author") | replace("'", "''") }}'
    {%- else -%}
        true
    {%- endif -%}
{% endmacro %}


{# Generic tests look at the author that is being built, so their cost does not grow with the number of authors. #}
{% macro get_where_subquery(relation) -%}
    (select * from {{ relation }} where {{ for_author() }}) as dbt_subquery
{%- endmacro %}
