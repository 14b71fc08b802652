"""Networks with the inputs and outputs of YOLOX, RTMPose and RTMO that find coloured figures.

A person is a rectangle, blue or cyan, with a red square, at which the even joints are, and a green one, at
which the odd joints are. Every position follows from the picture, so what an estimator finds in it can be
derived by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from skdpipe.video import Frame

EVEN_SCORE, ODD_SCORE, ODD_SCORE_OF_CYAN, LAST_SCORE = 1.3, 0.8, 0.5, 0.1
"""Scores of RTMPose's joints; the last joint is even."""
BLUE_BOX_SCORE, CYAN_BOX_SCORE = 0.9, 0.6
_BLUE, _CYAN = (0, 0, 1), (0, 1, 1)  # which channels of RGB are high
_RED, _GREEN = (1, 0, 0), (0, 1, 0)


def draw(frame: Frame, box: tuple[int, int, int, int], *, cyan: bool = False) -> NDArray[np.float64]:
    """Draw a person into a frame.

    Args:
        frame: RGB, changed in place.
        box: left, top, right, bottom; the last two are not in it. At least 40 pixels wide and high.
        cyan: its colour.

    Returns:
        x and y of the red and the green square's centre.
    """
    left, top, right, bottom = box
    frame[top:bottom, left:right] = (0, 240, 240) if cyan else (0, 0, 240)
    squares = ((left + 4, top + 4, (240, 0, 0)), (right - 15, bottom - 15, (0, 240, 0)))
    for x, y, colour in squares:
        frame[y : y + 11, x : x + 11] = colour
    return np.array([(x + 5, y + 5) for x, y, _ in squares], np.float64)


class _Graph:
    """Nodes of an ONNX graph; a call adds one and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def sum(self, what: str, *axes: int) -> str:
        return self("ReduceSum", what, self.constant(axes, np.int64), keepdims=1)

    def maximum(self, what: str, *axes: int) -> str:
        return self("ReduceMax", what, self.constant(axes, np.int64), keepdims=1)

    def save(self, path: Path, side: tuple[object, ...], outputs: dict[str, tuple[object, ...]]) -> Path:
        """Write the graph from ``image (1, 3, height, width)`` to the outputs."""
        kinds = {"labels": TensorProto.INT64}
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, *side))],
            [
                helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
                for name, shape in outputs.items()
            ],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return path

    def name(self, value: str, output: str) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [output]))

    def mask(self, colour: tuple[int, ...], low: list[float], high: list[float]) -> str:
        """1 where the image has the colour, ``(1, 1, height, width)``; channels in the image's order."""
        above = self("Greater", "image", self.constant(np.reshape(high, (1, 3, 1, 1))))
        below = self("Less", "image", self.constant(np.reshape(low, (1, 3, 1, 1))))
        wanted = self.constant(np.reshape(colour, (1, 3, 1, 1)), np.bool_)
        above, below = (self("Cast", each, to=TensorProto.FLOAT) for each in (above, below))
        fits = self("Where", wanted, above, below)
        return self("ReduceMin", fits, self.constant([1], np.int64), keepdims=1)

    def extent(self, mask: str) -> list[str]:
        """left, top, right, bottom of a mask, each ``(1, 1)``."""
        ends = []
        for last in (0, 1):
            for axis in (2, 3):  # over rows for x, over columns for y
                line = self("Flatten", self.maximum(mask, axis))
                place = self("ArgMax", line, axis=1, select_last_index=last)
                ends.append(self("Add", self("Cast", place, to=TensorProto.FLOAT), self.constant(last)))
        return ends

    def centre(self, mask: str, size: tuple[int, int]) -> tuple[str, str]:
        """x and y of a mask's centre, each ``(1, 1, 1, 1)``; 0 if it is empty."""
        height, width = size
        area = self("Max", self.sum(mask, 2, 3), self.constant(1))
        x = self("Mul", mask, self.constant(np.arange(width).reshape(1, 1, 1, -1)))
        y = self("Mul", mask, self.constant(np.arange(height).reshape(1, 1, -1, 1)))
        return self("Div", self.sum(x, 2, 3), area), self("Div", self.sum(y, 2, 3), area)


def _colour(rgb: tuple[int, ...], order: str) -> tuple[int, ...]:
    return rgb if order == "rgb" else rgb[::-1]


def _bytes_mask(graph: _Graph, rgb: tuple[int, ...], order: str) -> str:
    return graph.mask(_colour(rgb, order), [100.0] * 3, [200.0] * 3)


def write_detector(path: Path, side: int = 416, *, order: str = "bgr", fixed: bool = True) -> Path:
    """YOLOX after suppression: a cyan person, a blue person, and a thing of another class."""
    graph = _Graph()
    rows = []
    for rgb, certain in ((_CYAN, CYAN_BOX_SCORE), (_BLUE, BLUE_BOX_SCORE)):
        mask = _bytes_mask(graph, rgb, order)
        score = graph("Mul", graph("Flatten", graph.maximum(mask, 2, 3)), graph.constant(certain))
        rows.append(graph("Concat", *graph.extent(mask), score, axis=1))
    rows.append(graph.constant([[0, 0, side / 2, side / 2, 0.99]]))
    stacked = graph("Concat", *rows, axis=0)
    graph.name(graph("Unsqueeze", stacked, graph.constant([0], np.int64)), "dets")
    graph.name(graph.constant([[0, 0, 1]], np.int64), "labels")
    return graph.save(
        path, (side, side) if fixed else ("height", "width"), {"dets": (1, 3, 5), "labels": (1, 3)}
    )


def write_raw_detector(path: Path, side: int = 416) -> Path:
    """YOLOX before suppression, of 80 classes: the blue person twice, and a thing of another class."""
    graph = _Graph()
    mask = _bytes_mask(graph, _BLUE, "bgr")
    left, top, right, bottom = graph.extent(mask)
    found = graph("Flatten", graph.maximum(mask, 2, 3))
    stride, half = graph.constant(8), graph.constant(0.5)
    rows = []
    for cell, kind, certain in ((0, 0, 0.9), (1, 0, 0.8), (2, 1, 0.99)):  # all in the first row of stride 8
        x = graph("Div", graph("Mul", graph("Add", left, right), half), stride)
        y = graph("Div", graph("Mul", graph("Add", top, bottom), half), stride)
        width = graph("Log", graph("Div", graph("Sub", right, left), stride))
        height = graph("Log", graph("Div", graph("Sub", bottom, top), stride))
        classes = graph.constant(np.eye(80)[kind : kind + 1])
        score = graph("Mul", found, graph.constant(certain))
        x = graph("Sub", x, graph.constant(cell))
        rows.append(graph("Concat", x, y, width, height, score, classes, axis=1))
    cells = sum((side // each) ** 2 for each in (8, 16, 32))
    rows.append(graph.constant(np.zeros((cells - len(rows), 85))))
    graph.name(graph("Unsqueeze", graph("Concat", *rows, axis=0), graph.constant([0], np.int64)), "output")
    return graph.save(path, (side, side), {"output": (1, cells, 85)})


def write_rtmpose(
    path: Path, size: tuple[int, int] = (192, 256), joints: int = 17, *, fixed: bool = True
) -> Path:
    """RTMPose with an input of ``size`` (width, height): the squares of a crop, of any colour of person."""
    width, height = size
    graph = _Graph()
    blue = graph.maximum(graph.mask(_BLUE, [0.0] * 3, [1.0] * 3), 2, 3)
    odd = graph("Where", graph("Greater", blue, graph.constant(0)), graph.constant(ODD_SCORE),
                graph.constant(ODD_SCORE_OF_CYAN))  # fmt: skip
    lines: list[list[str]] = [[], []]
    for rgb, score in ((_RED, graph.constant(EVEN_SCORE)), (_GREEN, odd)):
        mask = graph.mask(rgb, [0.0] * 3, [1.0] * 3)
        score = graph("Mul", score, graph.maximum(mask, 2, 3))
        for line, centre, length in zip(
            lines, graph.centre(mask, (height, width)), (width, height), strict=True
        ):
            bins = graph.constant(np.arange(2 * length).reshape(1, 1, 1, -1) / 2)
            away = graph("Div", graph("Abs", graph("Sub", bins, centre)), graph.constant(length))
            line.append(graph("Mul", score, graph("Sub", graph.constant(1), away)))
    last = np.ones((1, joints, 1))
    last[0, -1] = LAST_SCORE / EVEN_SCORE
    parity = graph.constant(np.arange(joints).reshape(1, -1, 1) % 2 == 1, np.bool_)
    for name, (even, uneven) in zip(("simcc_x", "simcc_y"), lines, strict=True):
        rows = [graph("Squeeze", each, graph.constant([1], np.int64)) for each in (uneven, even)]
        graph.name(graph("Mul", graph("Where", parity, *rows), graph.constant(last)), name)
    return graph.save(
        path,
        (height, width) if fixed else ("height", "width"),
        {"simcc_x": (1, joints, 2 * width), "simcc_y": (1, joints, 2 * height)},
    )


def write_rtmo(path: Path, side: int = 640) -> Path:
    """RTMO: boxes of people whose score is above 0.05, and the squares inside them."""
    graph = _Graph()
    boxes, poses, scores = [], [], []
    squares = [_bytes_mask(graph, rgb, "bgr") for rgb in (_RED, _GREEN)]
    columns = graph.constant(np.arange(side).reshape(1, 1, 1, -1))
    for rgb, certain in ((_CYAN, CYAN_BOX_SCORE), (_BLUE, BLUE_BOX_SCORE)):
        mask = _bytes_mask(graph, rgb, "bgr")
        extent = graph.extent(mask)
        score = graph("Mul", graph("Flatten", graph.maximum(mask, 2, 3)), graph.constant(certain))
        inside = graph("And", graph("GreaterOrEqual", columns, extent[0]), graph("Less", columns, extent[2]))
        inside = graph("Cast", inside, to=TensorProto.FLOAT)
        joints = []
        for square, confidence in zip(squares, (certain, certain / 2), strict=True):
            centre = graph.centre(graph("Mul", square, inside), (side, side))
            values = [graph("Flatten", each) for each in centre]
            joints.append(graph("Concat", *values, graph.constant([[confidence]]), axis=1))
        boxes.append(graph("Concat", *extent, score, axis=1))
        pose = graph("Concat", *[joints[joint % 2] for joint in range(17)], axis=0)
        poses.append(graph("Unsqueeze", pose, graph.constant([0], np.int64)))
        scores.append(graph("Flatten", score, axis=0))
    certain_enough = graph(
        "Greater", graph("Squeeze", graph("Concat", *scores, axis=1)), graph.constant(0.05)
    )
    for name, rows in (("dets", boxes), ("keypoints", poses)):
        kept = graph("Compress", graph("Concat", *rows, axis=0), certain_enough, axis=0)
        graph.name(graph("Unsqueeze", kept, graph.constant([0], np.int64)), name)
    return graph.save(path, (side, side), {"dets": (1, "people", 5), "keypoints": (1, "people", 17, 3)})
