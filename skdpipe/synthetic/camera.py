"""A pinhole camera that looks at a place on the stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skdpipe.synthetic.body import Array, unit


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and how it magnifies.

    Attributes:
        target: the place it looks at, metres.
        azimuth, elevation: direction from the target to the camera in radians; 0 is along +x.
        distance: from the target, metres.
        focal: focal length in pixels.
        centre: the pixel at which the target appears; an integer is the middle of a pixel.
    """

    target: tuple[float, float, float]
    azimuth: float
    elevation: float
    distance: float
    focal: float
    centre: tuple[float, float]

    @cached_property
    def _axes(self) -> Array:
        """Columns: to the right, down, and ahead as the camera sees it."""
        ahead = unit(np.array(self.target) - self.position)
        right = unit(np.cross(ahead, np.array([0.0, 0.0, 1.0])))
        return np.stack([right, np.cross(ahead, right), ahead], axis=1)

    @cached_property
    def position(self) -> Array:
        """Where the camera is, metres."""
        flat = np.cos(self.elevation)
        away = [flat * np.cos(self.azimuth), flat * np.sin(self.azimuth), np.sin(self.elevation)]
        return np.array(self.target) + self.distance * np.array(away)

    def project(self, points: Array) -> Array:
        """``(..., 3)`` metres to ``(..., 3)``: x, y in pixels (y down) and the depth in metres."""
        local = (points - self.position) @ self._axes
        local[..., :2] = self.centre + self.focal * local[..., :2] / local[..., 2:]
        return np.asarray(local)
