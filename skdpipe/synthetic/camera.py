"""A pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skdpipe.synthetic.body import Array, unit


@dataclass(frozen=True)
class Camera:
    """Position, direction and focal length of a camera.

    Attributes:
        target: the point on the optical axis, in metres.
        azimuth, elevation: direction from the target to the camera in radians; 0 is along +x.
        distance: distance from the target in metres.
        focal: focal length in pixels.
        centre: image position of the target in pixels; pixel centres are integers.
    """

    target: tuple[float, float, float]
    azimuth: float
    elevation: float
    distance: float
    focal: float
    centre: tuple[float, float]

    @cached_property
    def _axes(self) -> Array:
        """Columns: the camera's directions to the right, down and ahead."""
        ahead = unit(np.array(self.target) - self.position)
        right = unit(np.cross(ahead, np.array([0.0, 0.0, 1.0])))
        return np.stack([right, np.cross(ahead, right), ahead], axis=1)

    @cached_property
    def position(self) -> Array:
        """Position of the camera in metres."""
        flat = np.cos(self.elevation)
        away = [flat * np.cos(self.azimuth), flat * np.sin(self.azimuth), np.sin(self.elevation)]
        return np.array(self.target) + self.distance * np.array(away)

    def see(self, points: Array) -> Array:
        """Points ``(..., 3)`` in metres as seen by the camera: x to the right, y down, z ahead."""
        return np.asarray((points - self.position) @ self._axes)

    def project(self, points: Array) -> Array:
        """Project points ``(..., 3)`` in metres to ``(..., 3)``: x, y in pixels (y down), depth in metres."""
        local = self.see(points)
        local[..., :2] = self.centre + self.focal * local[..., :2] / local[..., 2:]
        return local
