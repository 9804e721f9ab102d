"""Where things rest: Postgres tables and their migrations, the embedded server, artifacts, the registry."""
