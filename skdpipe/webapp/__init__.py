"""The web application: clips with skeletons and labels, the pose cache and runs, in a browser."""

from skdpipe.webapp.create import create_app
from skdpipe.webapp.settings import AppSettings, Limits

__all__ = ["AppSettings", "Limits", "create_app"]
