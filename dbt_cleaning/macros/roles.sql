{# Lets the stages after cleaning read a mart, where the server has their role. A right that is there already costs no write. #}
{% macro readable_downstream(relation) -%}
    do $$
    begin
        if not has_table_privilege(to_regrole('twin_downstream')::oid, '{{ relation }}', 'select') then
            grant select on {{ relation }} to twin_downstream;
        end if;
    end
    $$
{%- endmacro %}
