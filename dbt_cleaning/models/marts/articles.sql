select
    {{ document_columns() }}
from {{ ref('cleaned_documents') }}
where kind = 'article'
