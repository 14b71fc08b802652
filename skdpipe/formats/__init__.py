"""Foreign skeleton files, one module a format.

Each module offers ``load_<format>`` for one file and ``read_<format>`` for a data set, lazily; both
give `PoseSequence` and raise FormatError where a file is not what its format promises.
"""
