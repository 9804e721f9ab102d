"""``python -m twin_assets.cli`` is ``twin``."""

from twin_assets.cli import main

main()
