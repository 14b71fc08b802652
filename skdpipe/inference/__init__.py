"""Inference: numpy alone; this package never imports torch."""

from skdpipe.inference.runtimes import OnnxRuntime, OpenVinoRuntime, Runtime

__all__ = ["OnnxRuntime", "OpenVinoRuntime", "Runtime"]
