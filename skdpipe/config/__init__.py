"""Settings: frozen dataclasses checked by pydantic, read from YAML, changed by ``key.path=value``.

Networks and losses take plain arguments, never a config. Names are imported on first use: pydantic builds the
dataclasses of a module at its import, and prediction needs a few of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
