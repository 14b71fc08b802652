"""`skdpipe doctor`: what is wrong with this installation, this machine, and what a config needs of it.

`diagnose` runs the checks of each subject in a process of its own (`worker`): a library that ends its process
when it is imported, or never returns, is a finding. There is a module for each subject, with its `CHECKS`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
