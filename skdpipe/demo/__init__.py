"""The demonstration: the whole pipeline on synthetic people, and what distillation gains there."""

from skdpipe.demo.outcome import Outcome
from skdpipe.demo.run import DemoResult, run_demo
from skdpipe.demo.simulation import Simulation

__all__ = ["DemoResult", "Outcome", "Simulation", "run_demo"]
