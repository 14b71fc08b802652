"""Endings of file names by which videos and images are found in folders, in lower case."""

from __future__ import annotations

from typing import Final

EXTENSIONS: Final = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2"),
        *(".mkv", ".webm", ".avi", ".divx", ".flv", ".ogv", ".ogm"),
        *(".ts", ".mts", ".m2ts", ".m2t", ".tod", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mod", ".vob"),
        *(".wmv", ".asf", ".mxf", ".gxf", ".dv", ".rm", ".rmvb", ".nut", ".wtv", ".y4m", ".ivf"),
        *(".gif", ".apng", ".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc"),
    }
)
"""Endings of videos that FFmpeg reads."""

IMAGE_EXTENSIONS: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jp2", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""Endings of images that OpenCV reads."""
