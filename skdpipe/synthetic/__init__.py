"""Synthetic videos: procedural people (actors) perform labelled actions; their joints are known exactly."""

from skdpipe.synthetic.actions import ACTIONS
from skdpipe.synthetic.scene import RenderedClip, Scene, exact_poses, make_scene, render_clip, render_frame

__all__ = ["ACTIONS", "RenderedClip", "Scene", "exact_poses", "make_scene", "render_clip", "render_frame"]
