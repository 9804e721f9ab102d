"""One module per platform; see ``twin_assets.ingest.source`` for what a module has."""
