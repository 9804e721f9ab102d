{# Whether a line belongs to the platform's page. #}
{% macro is_interface_line(line) -%}
    length({{ line }}) <= 200
    and lower(btrim({{ line }}, E' \t-*•→👉')) ~ '^({{ var("interface_lines") | join("|") | replace("'", "''") }})$'
{%- endmacro %}


{# A URL, with the code marks around it. #}
{% macro url_pattern() -%}
    {%- set url = '(https?://|www\\.)([^\\s<>()`"“”]|\\([^\\s<>()`"“”]*\\))*([^\\s<>()`"“”.,;:!?\'\'’…]|\\([^\\s<>()`"“”]*\\))' -%}
    (<{{ url }}>|`{{ url }}`|{{ url }})
{%- endmacro %}


{# A line without its URLs, nor the brackets, code marks and space around them; empty where only a marker is left. #}
{% macro without_urls(line) -%}
    case
        when strpos({{ line }}, '://') = 0 and {{ line }} !~* 'www\.' then {{ line }}
        else regexp_replace(
            ltrim(regexp_replace({{ line }}, '\s*(\({{ url_pattern() }}\)|{{ url_pattern() }})', '', 'gi')), '^([-*•→👉:]|\d+[.)])?\s*$', ''
        )
    end
{%- endmacro %}


{# A line with a placeholder for each URL, so that its sentences stay whole; empty where there is little else. #}
{% macro with_links(line) -%}
    case
        when strpos({{ line }}, '://') = 0 and {{ line }} !~* 'www\.' then {{ line }}
        when {{ without_urls(line) }} = '' then ''
        else regexp_replace({{ line }}, '{{ url_pattern() }}', '[link]', 'gi')
    end
{%- endmacro %}


{# Composed accents, and plain letters for the "bold" ones out of the mathematical alphabets (U+1D400 to U+1D7FF).
   Normalizing is slow, and NFKC changes much else: texts of Latin letters and common punctuation, of which there is nothing
   to compose, are passed through, and NFKC sees the bold letters alone. #}
{% macro searchable(text) -%}
    case
        when {{ text }} !~ '[^\u0001-\u02FF\u2010-\u2027\u2030-\u205E\u20A0-\u20CF]' then {{ text }}
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


{# The same for texts that differ in case, emphasis, blanks or common punctuation alone. Replacing one character after the
   other takes an eighth of the time of a regular expression for all of them. #}
{% macro spelling(text) -%}
    {%- set found = namespace(sql='lower(' ~ text ~ ')') -%}
    {%- for character in [' ', '*', '_', '.', ',', '!', '’'] -%}
        {%- set found.sql = "replace(" ~ found.sql ~ ", '" ~ character ~ "', '')" -%}
    {%- endfor -%}
    md5({{ found.sql }})::uuid
{%- endmacro %}


{# Words: runs without blanks, and of the scripts that have no blanks two characters for one. Cutting at blanks takes half
   the time of counting by '\S+'; only texts of mostly long characters are looked through for such scripts. #}
{% macro words(text) -%}
    (
        coalesce(cardinality(array_remove(string_to_array(translate({{ text }}, E'\n\t', '  '), ' '), '')), 0)
        + case
            when octet_length({{ text }}) < 1.5 * length({{ text }}) then 0
            else regexp_count({{ text }}, '[\u0E00-\u0E7F\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF]') / 2
        end
    )
{%- endmacro %}


{# An address without what may be private in it: none at all where it holds an e-mail address, no query where it holds a key. #}
{% macro public_url(url) -%}
    case
        when {{ url }} ~* '[^/@\s]+@[^/@\s]+\.[a-z]{2,}' then null
        when {{ url }} ~* '[?#&](.*[_-])?(token|key|secret|password|auth|code|session|sig|signature)=' then regexp_replace({{ url }}, '[?#].*$', '')
        else {{ url }}
    end
{%- endmacro %}


{# A text with placeholders where private things stand in it; null where nobody has looked for them.
   Masks: {block, start, end, placeholder}, start from 0. #}
{% macro masked(text, masks, block) -%}
    case
        when {{ masks }} = '[]'::jsonb then {{ text }}
        when {{ masks }} is not null then (
            select
                coalesce(
                    string_agg(
                        substr({{ text }}, mask.behind + 1, mask.start - mask.behind) || mask.placeholder, ''
                        order by mask.start
                    ) || substr({{ text }}, max(mask."end") + 1),
                    {{ text }}
                )
            from (
                select
                    found.start,
                    found."end",
                    found.placeholder,
                    lag(found."end", 1, 0) over (order by found.start) as behind
                from jsonb_to_recordset({{ masks }}) as found (block int, start int, "end" int, placeholder text)
                where found.block = {{ block }}
            ) as mask
        )
    end
{%- endmacro %}
