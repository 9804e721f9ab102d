{{
    config(
        description='What is dropped for having no text has none besides boilerplate and embeds.',
        meta={'dagster': {'ref': {'name': 'int_documents'}}}
    )
}}

select distinct documents.document_id
from {{ ref('int_documents') }} as documents
inner join {{ ref('int_blocks') }} as blocks on documents.document_id = blocks.document_id
{{ left_join_boilerplate() }}
where
    {{ for_author('documents.author') }}
    and documents.reason = 'no_text'
    and blocks.block_text ~ '\S'
    and blocks.block_type <> 'embed'
    and repeated.block_hash is null
    and blocks.interface_lines = 0
