"""``python -m app.api``: serves the REST interface on the port of the settings."""

import uvicorn

from app.api.main import create_app
from twin_assets.settings import get_settings


def main() -> None:
    """Serves until stopped."""
    settings = get_settings()
    uvicorn.run(create_app(settings), host="127.0.0.1", port=settings.api_port, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
