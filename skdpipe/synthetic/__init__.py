"""The actors: procedural people who act labelled actions before a camera, with exact joints."""

from skdpipe.synthetic.actions import ACTIONS
from skdpipe.synthetic.stage import Clip, Scene, cast, perform, shoot

__all__ = ["ACTIONS", "Clip", "Scene", "cast", "perform", "shoot"]
