"""``python -m skdpipe``."""

from skdpipe.cli import main

main()
