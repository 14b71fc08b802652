"""OpenPifPaf's networks in ONNX Runtime or OpenVINO."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Precision
from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf.estimator import Floats, NetworkDescription
from skdpipe.runtimes import Session

_SHAPES: Final = ((17, 5), (19, 8))  # of the fields of a cell


class ExportedFields:
    """A `FieldNetwork` that was exported.

    Args:
        session: runs a model as exported by `skdpipe.pose.openpifpaf.export.to_onnx`, on the processor.
        description: which network it is.
        calls: number of calls at once, each on one thread.
        precision: number format in which it computes.
    """

    def __init__(
        self,
        session: Session,
        description: NetworkDescription,
        *,
        calls: int,
        precision: Precision = "float32",
    ) -> None:
        self.description = description
        self.runtime: str = session.name
        self.precision: Precision = precision
        self.calls = calls
        self._session = session

    def __call__(self, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """See `FieldNetwork`.

        Raises:
            PoseError: if the model is not one of OpenPifPaf's networks for the joints of COCO.
        """
        fields = self._session({"images": images})
        if tuple(each.shape[1:3] for each in fields) != _SHAPES:
            found = " and ".join(str(each.shape) for each in fields)
            raise PoseError(
                f"the exported pose network puts out arrays {found}; expected fields of 17 joints and 19 "
                "associations: export it again"
            )
        cif, caf = fields
        return cif, caf
