"""`skdpipe profile`: what estimators and trained networks cost on this machine, and how accurate they are.

`variants` lists the estimators to measure, `clip` is the video, `stages` are the steps from the video to the
label as calls that `measure` times in turn, `memory` runs one estimator in a fresh process; `accuracy` puts
the trained networks beside their cost, `figure` draws, and `write` makes the files. Names are imported on
first use, so that the fresh process imports only what the estimator needs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
