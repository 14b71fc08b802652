"""The actors: procedural people who act labelled actions before a camera, with exact joints."""

from skdpipe.actors.actions import ACTIONS
from skdpipe.actors.stage import Clip, Scene, cast, perform, shoot

__all__ = ["ACTIONS", "Clip", "Scene", "cast", "perform", "shoot"]
