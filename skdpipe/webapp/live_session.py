"""The camera of a user: pictures in, skeletons and labels out."""

from __future__ import annotations

import io
import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from skdpipe.errors import VideoError
from skdpipe.inference import LivePredictor, Predictor
from skdpipe.inference.footage import Labels
from skdpipe.inference.timeline import Segment
from skdpipe.skeleton.tracks import TrackedFrame
from skdpipe.webapp.labelling import poses_to_json, segment_of_page
from skdpipe.webapp.settings import Limits


class LiveSession:
    """Labels the pictures of one camera.

    Attributes:
        id: a secret name.

    Args:
        predictor: of the student.
        limits: of the pictures.

    Raises:
        BundleError: if the predictor has no estimator, or the length of a window is not known.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.id = secrets.token_urlsafe(12)
        self._predictor, self._limits = predictor, limits
        self._live = LivePredictor(predictor)
        self._latest: dict[int | None, Segment] = {}

    def label(self, picture: bytes, seconds: float) -> dict[str, Any]:
        """What a picture has completed, as plain values.

        Args:
            picture: JPEG.
            seconds: when it was taken, after the picture before.

        Raises:
            VideoError: if it is no picture, or a larger one than the limits allow.
            DataError, PoseError, BundleError: as `LivePredictor.update`.
        """
        image = read_picture(picture, self._limits.image_pixels)
        frames: list[TrackedFrame] = []
        labels = self._live.update(image, seconds, on_frame=frames.append)
        size = image.shape[1], image.shape[0]
        drawn = poses_to_json(frames, self._predictor.layout, size) if frames else None
        return {"poses": drawn, **self._describe(labels)}

    def finish(self) -> dict[str, Any]:
        """The segments that end with the video."""
        return self._describe(self._live.finish())

    def _describe(self, labels: Labels) -> dict[str, Any]:
        for each in labels.windows:
            if each.person is None:
                self._latest.clear()
            else:
                self._latest.pop(None, None)
            self._latest[each.person] = each
        for span in labels.left:
            self._latest.pop(span.person, None)
        return {
            "now": [segment_of_page(each) for each in self._latest.values()],
            "segments": [segment_of_page(each) for each in labels.segments],
        }


def read_picture(picture: bytes, most_pixels: int) -> NDArray[np.uint8]:
    """The RGB pixels ``(height, width, 3)`` of a JPEG picture.

    Raises:
        VideoError: if it is something else, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
            width, height = image.size  # of the header; nothing is decoded yet
            if width * height > most_pixels:
                raise VideoError(
                    f"a picture of {width}x{height} pixels; expected at most {most_pixels:,} pixels"
                )
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise VideoError("the picture of the camera cannot be read; expected JPEG") from error
