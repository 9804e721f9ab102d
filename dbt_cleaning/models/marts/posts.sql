select
    {{ document_columns() }}
from {{ ref('cleaned_documents') }}
where kind in ('post', 'note', 'comment')
