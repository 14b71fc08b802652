"""skdpipe: from raw video to action labels, with structural knowledge distillation.

Every command has a Python twin here. Names are imported on first use, so that ``import skdpipe`` is fast; the
file ``__init__.pyi`` lists them for type checkers and completion.

Settings are frozen dataclasses, read from YAML:

>>> import skdpipe
>>> experiment = skdpipe.load_config(skdpipe.Experiment, "demo", ["seed=3"], section="experiment")
>>> experiment.seed, experiment.student.name
(3, 'dd_net')

The folders of videos are their labels:

>>> from pathlib import Path
>>> [(item.path.name, item.label) for item in skdpipe.find_videos(Path("videos"))]
[('01.mp4', 'push'), ('02.mp4', 'wave')]

A pose sequence is an array of keypoints with its layout and frame rate:

>>> import numpy as np
>>> keypoints = np.ones((10, 1, 17, 3), np.float32)  # frame, person, joint, (x, y, confidence)
>>> frames = np.arange(10, dtype=np.int32)
>>> sequence = skdpipe.PoseSequence(keypoints, frames, 10, skdpipe.COCO_17, fps=25.0, size=(640, 480))
>>> skdpipe.map_layout(sequence, skdpipe.layout_named("penn-13")).keypoints.shape
(10, 1, 13, 3)

A predictor labels videos, frames and pose sequences:

>>> predictor = skdpipe.load_predictor(Path("student.safetensors"), runtime="torch")
>>> predictor.predict(sequence).label in predictor.metadata.classes
True
>>> black = np.zeros((8, 96, 128, 3), np.uint8)  # frame, height, width, RGB
>>> print(predictor.predict(black, fps=25.0).label)  # no person was detected
None

A live predictor labels frames as they come:

>>> live = skdpipe.LivePredictor(predictor, skdpipe.FootageSettings(window=1.0))
>>> live.update(black[0], seconds=0.0).windows
[]
"""

import lazy_loader

from skdpipe.errors import explaining_missing_extras

_getattr, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    with explaining_missing_extras():
        return _getattr(name)
