{{
    config(
        description='Every raw post is either a cleaned document or a dropped one, never both, and nothing else is either.',
        meta={'dagster': {'ref': {'name': 'dropped_documents'}}}
    )
}}

with accounted as (
    select document_id
    from {{ ref('cleaned_documents') }}
    where {{ for_author() }}
    union all
    select document_id
    from {{ ref('dropped_documents') }}
    where {{ for_author() }}
),

posts as (
    select id as document_id
    from {{ source('ingest', 'raw_posts') }}
    where {{ for_author() }}
)

select
    coalesce(posts.document_id, accounted.document_id) as document_id,
    count(accounted.document_id) as times
from posts
full outer join accounted on posts.document_id = accounted.document_id
group by posts.document_id, accounted.document_id
having count(accounted.document_id) <> 1 or count(posts.document_id) = 0
