"""OpenPifPaf as a `PoseEstimator`; nothing outside this folder imports OpenPifPaf.

OpenPifPaf keeps its configuration in class attributes. `networks` sets every attribute that it depends on
directly before use, so values set elsewhere have no effect. Names are imported on first use: an exported
network needs neither torch nor OpenPifPaf.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
