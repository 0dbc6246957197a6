"""``python -m cogauth``."""

from cogauth.cli import main

main()
