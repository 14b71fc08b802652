"""Export of a trained network for other machines: ONNX, OpenVINO, LiteRT; compared with PyTorch."""

from skdpipe.export.parity import Compared
from skdpipe.export.pose_network import ExportedPose
from skdpipe.export.student import ExportFormat, ExportReport, export_student

__all__ = ["Compared", "ExportFormat", "ExportReport", "ExportedPose", "export_student"]
