{# Whether a line belongs to the platform's page. #}
{% macro is_interface_line(line) -%}
    length({{ line }}) <= 200
    and lower(btrim({{ line }}, E' \t-*•→👉')) ~ '^({{ var("interface_lines") | join("|") | replace("'", "''") }})$'
{%- endmacro %}


{# A line without its URLs, nor the brackets, code marks and space around them; empty where only a marker is left. #}
{% macro without_urls(line) -%}
    {%- set url = '(https?://|www\\.)([^\\s<>()`]|\\([^\\s<>()`]*\\))*([^\\s<>()`.,;:!?"\'\'’”…]|\\([^\\s<>()`]*\\))' -%}
    case
        when {{ line }} !~* 'https?://|www\.' then {{ line }}
        else regexp_replace(
            ltrim(regexp_replace({{ line }}, '\s*(\({{ url }}\)|<{{ url }}>|`{{ url }}`|{{ url }})', '', 'gi')),
            '^([-*•→👉:]|\d+[.)])?\s*$', ''
        )
    end
{%- endmacro %}


{# Composed accents, and plain letters for the "bold" ones out of the mathematical alphabets (U+1D400 to U+1D7FF).
   NFKC is slow and changes much else, so it sees these characters alone; plain ASCII is passed through. #}
{% macro searchable(text) -%}
    case
        when octet_length({{ text }}) = length({{ text }}) then {{ text }}
        when {{ text }} !~ '[\U0001D400-\U0001D7FF]' then normalize({{ text }}, nfc)
        else normalize((
            select
                string_agg(
                    case when character ~ '[\U0001D400-\U0001D7FF]' then normalize(character, nfkc) else character end, ''
                    order by place
                )
            from string_to_table({{ text }}, null) with ordinality as characters (character, place)
        ), nfc)
    end
{%- endmacro %}
