"""Foreign skeleton files, one module per format.

`load_poses` and `save_poses` read and write every format. Each format module has ``find_<format>`` (the files
under a path) and ``load_<format>`` (one file), some have ``write_<format>``, and its catalogue records are at
its end. These functions raise FormatError if a file is not as its format requires.
"""

from skdpipe.formats.poses import load_poses, save_poses

__all__ = ["load_poses", "save_poses"]
