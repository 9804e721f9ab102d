"""``python -m app.assistant``: serves the page on the port of the settings, without telemetry."""

import sys
from pathlib import Path

from streamlit.web import cli

from twin_assets.settings import get_settings


def main() -> None:
    """Serves until stopped."""
    options = {
        "server.port": get_settings().assistant_port,
        "server.address": "127.0.0.1",
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "server.maxUploadSize": 10,
        "client.toolbarMode": "minimal",
    }
    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("main.py")), *(f"--{name}={value}" for name, value in options.items())]
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
