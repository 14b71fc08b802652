"""Foreign skeleton files, one module a format.

Each module offers ``find_<format>`` for the files under a path and ``load_<format>`` for one file, which
gives a `PoseSequence`, or an iterator of them where a file holds many clips; some offer ``write_<format>``.
They raise FormatError where a file is not what its format promises. `catalogue` has them by name.
"""
