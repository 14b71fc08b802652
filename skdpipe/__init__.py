"""skdpipe: from raw video to action labels, with structural knowledge distillation.

Every command has a Python twin here. Names are imported on first use, so that ``import skdpipe`` is fast; the
file ``__init__.pyi`` lists them for type checkers and completion.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
