{# How the tables take in what a build has found. Each of these is one transaction with the rest of its model, and can be
   repeated: what a killed build has left half done is still pending. #}

{# The rows of the documents found, anew. #}
{% macro get_incremental_replace_found_sql(arg_dict) %}
    delete from {{ arg_dict['target_relation'] }}
    where document_id in (select document_id from {{ arg_dict['temp_relation'] }});
    {{ insert_found(arg_dict) }}
{% endmacro %}


{# The rows of all pending documents, anew: dbt's own delete+insert would leave those of which nothing is left. #}
{% macro get_incremental_replace_pending_sql(arg_dict) %}
    delete from {{ arg_dict['target_relation'] }} where document_id in {{ pending() }};
    {{ insert_found(arg_dict) }}
{% endmacro %}


{# The rows of all documents that this build has judged, anew. #}
{% macro get_incremental_replace_judged_sql(arg_dict) %}
    delete from {{ arg_dict['target_relation'] }} where document_id in {{ judged() }};
    {{ insert_found(arg_dict) }}
{% endmacro %}


{# Changed counts of repeated blocks. Documents with a block that became boilerplate, or is no longer, are pending too. #}
{% macro get_incremental_replace_repeats_sql(arg_dict) %}
    {%- set target, found = arg_dict['target_relation'], arg_dict['temp_relation'] -%}
    update {{ ref('int_posts') }} as posts
    set pending = true
    from {{ ref('int_blocks') }} as blocks
    inner join {{ found }} as found
        on blocks.author = found.author and blocks.publication = found.publication and blocks.block_hash = found.block_hash
    left join {{ target }} as known
        on found.author = known.author and found.publication = known.publication and found.block_hash = known.block_hash
    where
        posts.document_id = blocks.document_id
        and not posts.pending
        and found.is_boilerplate <> coalesce(known.is_boilerplate, false);
    delete from {{ target }} as known
    using {{ found }} as found
    where known.author = found.author and known.publication = found.publication and known.block_hash = found.block_hash;
    {{ insert_found(arg_dict) }}
    where documents >= {{ var('boilerplate_documents') }}
{% endmacro %}


{# A full refresh makes tables anew, and with them all other authors would go. #}
{% macro full_refresh_of_all() -%}
    {%- if execute and flags.FULL_REFRESH and var('author', '') -%}
        {{ exceptions.raise_compiler_error('A full refresh is one of all authors: leave the variable author out.') }}
    {%- endif -%}
{%- endmacro %}


{# Hash of all rules that a text is cleaned by: models, macros and thresholds. #}
{% macro rules() -%}
    {%- set parts = [
        is_interface_line('x'), with_links('x'), searchable('x'), words('x'), spelling('x'), masked('x', 'y', 'z'), public_url('x'),
        var('until', ''), var('languages', []) | string, var('minimum_words', {}) | string, var('most_repetition', ''),
        var('longest_document', ''), var('boilerplate_words', ''), var('boilerplate_share', ''), var('boilerplate_documents', ''),
        var('boilerplate_long_words', ''), var('boilerplate_long_share', ''), var('platform_families', {}) | string
    ] -%}
    {%- if execute and graph is defined -%}
        {%- for node in graph.get('nodes', {}).values() | selectattr('resource_type', 'equalto', 'model') | sort(attribute='name') -%}
            {%- do parts.append(node.checksum.checksum) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ local_md5(parts | join('|')) }}
{%- endmacro %}


{% macro insert_found(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}


{# A table that was just made has no statistics: the next model would be planned as if it were nearly empty. #}
{% macro analyze_when_new() -%}
    {% if execute and not is_incremental() %}analyze {{ this }}{% endif %}
{%- endmacro %}


{# After a whole build in which every model and test went well, what it has judged is no longer pending. Otherwise it stays so, and
   the next build tries again. #}
{% macro settle(results) %}
    {%- set built = results | map(attribute='node.name') | list -%}
    {%- set unwell = results | rejectattr('status', 'in', ['success', 'pass', 'warn', 'no-op']) | list -%}
    {%- set needed = ['int_posts', 'int_blocks', 'int_repeated_blocks', 'int_documents', 'cleaned_documents', 'dropped_documents'] -%}
    {%- set tests = results | selectattr('node.resource_type', 'equalto', 'test') | list -%}
    {%- if needed | reject('in', built) | list == [] and tests and not unwell %}
        delete from {{ target.schema }}.int_posts where pending and reason = 'gone' and {{ for_author() }};
        update {{ target.schema }}.int_posts set pending = false where document_id in {{ judged() }};
        {%- if not var('changed_only', false) %}
            analyze {{ target.schema }}.int_posts (pending);
        {%- endif %}
    {%- endif -%}
{% endmacro %}
