{{
    config(
        materialized='incremental',
        incremental_strategy='replace_found',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['document_id'], 'unique': true}, {'columns': ['author', 'pending']}],
        pre_hook='{{ full_refresh_of_all() }}',
        post_hook='{{ analyze_when_new() }}'
    )
}}

with fingerprints as (
    -- From the tables themselves, and not by family: this looks at every post, all that follows at those that changed.
    select
        raw_posts.id as document_id,
        md5(
            concat_ws(
                E'\x1f', raw_posts.content_hash, raw_posts.state, raw_posts.reason, raw_posts.deleted_at is not null, raw_posts.work,
                raw_posts.platform, raw_posts.kind, raw_posts.source, raw_posts.url, annotations.annotator, annotations.language,
                annotations.masks, annotations.repetition, annotations.machine_markers, '{{ rules() }}'
            )
        ) as fingerprint
    from {{ source('ingest', 'raw_posts') }} as raw_posts
    left join {{ source('cleaning', 'annotations') }} as annotations
        on raw_posts.id = annotations.document_id and raw_posts.content_hash = annotations.content_hash
    where {{ for_author('raw_posts.author') }}
),

changed as materialized (
    select fingerprints.*
    from fingerprints
    {% if is_incremental() %}
        left join {{ this }} as known on fingerprints.document_id = known.document_id
        where known.fingerprint is distinct from fingerprints.fingerprint
    {% endif %}
),

found as (
    select
        posts.*,
        changed.fingerprint
    from changed
    inner join {{ ref('stg_posts') }} as posts on changed.document_id = posts.document_id
),

judged as (
    select
        *,
        case
            when deleted_at is not null then 'deleted'
            when state <> 'kept' then state
            when work <> document_id then 'copy'
            when annotator is null then 'not_annotated'
            {% if var('until') %}
                when published_at is null or published_at >= '{{ var("until") }} UTC'::timestamptz then 'after_cutoff'
            {% endif %}
            when octet_length(blocks::text) > {{ var('longest_document') }} then 'too_long'
            when repetition > {{ var('most_repetition') }} then 'repetitive'
            {% if var('languages') %}
                when language <> all('{ {{- var("languages") | join(",") -}} }') then 'language'
            {% endif %}
        end as reason_dropped
    from found
)

select
    document_id,
    author,
    source,
    publication,
    platform,
    kind,
    case when annotator is not null then {{ masked('title', 'masks', 0) }} end as title,
    {{ public_url('url') }} as url,
    published_at,
    language,
    machine_markers,
    content_hash,
    reason_dropped as reason,
    case reason_dropped
        when 'deleted' then 'It is gone from its source.'
        when 'copy' then 'It stands elsewhere too; the copy that is learned from is ' || work || '.'
        when 'not_annotated' then 'Nobody has looked for private things in it yet. Run cleaning/annotations.'
        when 'after_cutoff' then 'Its date is not before {{ var("until") }}, from which on nothing is learned, or it has none.'
        when 'too_long' then 'It has more than {{ var("longest_document") }} bytes.'
        when 'repetitive' then round(repetition * 100) || ' % of it says again what it said before.'
        when 'language' then 'It is in ' || language || '; learned from is {{ var("languages") | join(", ") }}.'
        else nullif(reason, '')
    end as detail,
    fingerprint,
    true as pending
from judged
{% if is_incremental() %}
    union all
    select
        document_id,
        author,
        source,
        publication,
        platform,
        kind,
        title,
        url,
        published_at,
        language,
        machine_markers,
        content_hash,
        'gone' as reason,
        'It is in ingest.raw_posts no more.' as detail,
        '' as fingerprint,
        true as pending
    from {{ this }} as known
    where
        {{ for_author() }}
        and not exists (
            select 1
            from {{ source('ingest', 'raw_posts') }} as raw_posts
            where raw_posts.id = known.document_id
        )
{% endif %}
