{# Delete+insert by author. dbt's own deletes the keys found in the new rows, so an author whose last post was deleted
   would keep all the old ones. #}
{% macro get_incremental_replace_author_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    delete from {{ arg_dict['target_relation'] }} where {{ for_author() }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}
