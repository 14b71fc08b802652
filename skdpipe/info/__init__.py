"""What a file or folder is: recognised by its content, described by facts.

`recognise` finds out which of the kinds it is, and each kind has a module that describes it. torch is
imported by none of them.
"""

from skdpipe.info.description import Description, Fact
from skdpipe.info.recognise import describe_path

__all__ = ["Description", "Fact", "describe_path"]
