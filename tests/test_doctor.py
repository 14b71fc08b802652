"""The diagnosis: each check on a healthy and on a broken side, and checks that fail, end or never return."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from moving_body import ACTIONS, BOX_PLUGIN, fill, tiny_experiment, write_action_video
from test_cli import Run, run  # noqa: F401  # a fixture

import skdpipe
from skdpipe import control_groups, memory
from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, NetworkChoice, PluginSettings, RtmlibSettings
from skdpipe.doctor import (
    estimates,
    machine,
    needs,
    openpifpaf,
    packages,
    pose_cache,
    pytorch,
    runtimes,
    videos,
    weights,
)
from skdpipe.doctor.diagnosis import SUBJECTS, run_checks
from skdpipe.doctor.setup import Setup
from skdpipe.doctor.sizes import size
from skdpipe.finding import Finding
from skdpipe.pose.openpifpaf import catalogue, weights_file
from skdpipe.pose.openpifpaf.catalogue import PublishedWeights
from skdpipe.progress import Progress
from skdpipe.runtimes import exported_network, user_cache
from skdpipe.tensor_file import write_tensors
from skdpipe.video.codecs import CODECS, VideoCodec

ROOT = Path(__file__).parents[1]
QUIET = Progress(quiet=True)
HERE = Setup()

OnPath = Callable[..., None]


def findings_of(module: Any, check: str, setup: Setup = HERE) -> list[Finding]:
    return [each for each in module.CHECKS[check](setup) if each is not None]


def the_finding(module: Any, check: str, setup: Setup = HERE) -> Finding:
    (finding,) = findings_of(module, check, setup)
    assert (finding.level == "fine") == (not finding.remedy)
    assert "\n" not in finding.text + finding.remedy
    return finding


def levels(findings: list[Finding]) -> dict[str, str]:
    return {each.name: each.level for each in findings}


@pytest.fixture(autouse=True)
def _own_user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnPath:
    """Puts modules, and metadata of packages, before all others."""
    folder = tmp_path / "first"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def put(*, metadata: str = "", **modules: str) -> None:
        for name, code in modules.items():
            (folder / f"{name}.py").write_text(code)
        if metadata:
            name, version, *lines = metadata.splitlines()
            info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
            info.mkdir()
            text = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *lines]
            (info / "METADATA").write_text("\n".join(text) + "\n")

    return put


# Processes -----------------------------------------------------------------------------------------


ENDS = {
    "raise OSError('libcudart.so.99: cannot open shared object file')": (
        "cannot be imported (OSError: libcudart.so.99: cannot open shared object file)"
    ),
    "import sys; sys.exit(3)": "this check failed: its process ended with exit code 3",
    "import os; os.write(2, b'terminate called\\n'); os.abort()": (
        "this check failed: its process ended with exit code -6 (terminate called)"
    ),
    "import os; os._exit(0)": "this check failed: its process ended with exit code 0",
}


@pytest.mark.parametrize("code", ENDS)
def test_a_module_that_fails_at_its_import_is_a_finding_and_the_other_checks_run(
    on_path: OnPath, code: str
) -> None:
    on_path(torch=code)
    found = run_checks([["pytorch", "machine"]], HERE, QUIET)
    assert [(each.name, each.level, each.text) for each in found["pytorch"]] == [
        ("torch", "problem", ENDS[code])
    ]
    assert levels(found["machine"]).keys() == machine.CHECKS.keys()


def test_a_module_that_never_returns_is_ended(on_path: OnPath) -> None:
    on_path(torch="import time; time.sleep(600)")
    found = run_checks([["pytorch", "machine"]], HERE, QUIET, seconds=3.0)
    assert [each.text for each in found["pytorch"]] == ["this check failed: no answer in 3 s"]
    assert len(found["machine"]) == len(machine.CHECKS)


def test_an_error_of_a_check_is_its_finding(on_path: OnPath) -> None:
    on_path(packaging="raise ValueError('not this one')")
    found = run_checks([["machine", "packages"]], HERE, QUIET)
    text = "its process ended with exit code 1 (ValueError: not this one)"
    assert [each.text for each in found["machine"]] == [f"this check failed: {text}"]


def test_what_libraries_print_is_not_taken_for_a_message(on_path: OnPath) -> None:
    on_path(torch="print('[\"finding\", {}]'); raise ImportError('none')")
    found = run_checks([["pytorch"]], HERE, QUIET)
    assert [each.text for each in found["pytorch"]] == ["cannot be imported (ImportError: none)"]


# Python and machine --------------------------------------------------------------------------------


def test_python_is_compared_with_the_range_of_the_metadata(on_path: OnPath) -> None:
    assert the_finding(machine, "python").level == "fine"
    on_path(metadata="skdpipe\n9.0\nRequires-Python: >=3.99")
    finding = the_finding(machine, "python")
    assert (finding.level, finding.text.endswith("; expected >=3.99")) == ("problem", True)


@pytest.mark.parametrize(("encoding", "level"), [("utf-8", "fine"), ("ascii", "note"), ("cp437x", "note")])
def test_the_encoding_of_the_terminal(encoding: str, level: str) -> None:
    assert the_finding(machine, "terminal", Setup(encoding=encoding)).level == level


def make_group(root: Path, path: str, **files: str) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / path / name.replace("__", ".")).write_text(f"{text}\n")


def test_limits_of_control_groups_of_version_2(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/jobs/7\n")
    make_group(root, ".")
    make_group(root, "jobs", cpu__max="150000 100000", memory__max="max", memory__current="5")
    make_group(
        root, "jobs/7", cpu__max="max 100000", memory__max="1000", memory__current="900",
        memory__stat="anon 1\ninactive_file 300",
    )  # fmt: skip
    assert control_groups.processor_limit(root, own) == 1.5
    assert control_groups.memory_left(root, own) == 400


def test_limits_of_control_groups_of_version_1(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("4:cpu,cpuacct:/docker/ab\n3:memory:/docker/ab\n1:name=systemd:/x\n")
    make_group(root, "cpu", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    make_group(root, "memory", memory__limit_in_bytes="700", memory__usage_in_bytes="100")
    assert control_groups.processor_limit(root, own) == 2.0
    assert control_groups.memory_left(root, own) == 600
    make_group(root, "cpu", cpu__cfs_quota_us="-1")
    make_group(root, "memory", memory__limit_in_bytes=str(2**63 - 4096))
    assert control_groups.processor_limit(root, own) is None
    assert control_groups.memory_left(root, own) is None
    assert control_groups.processor_limit(tmp_path / "none", tmp_path / "none") is None


def test_a_limit_of_the_processor_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "processor_limit", lambda: 0.5)
    finding = the_finding(machine, "processor")
    assert (finding.level, "the time of 0.5" in finding.text) == ("warning", True)
    assert finding.remedy.startswith("export OMP_NUM_THREADS=1, ")


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (machine, memory):
        monkeypatch.setattr(module, "memory_left", lambda: 300_000_000)
    finding = the_finding(machine, "memory")
    assert (finding.level, finding.text) == ("warning", "300 MB free in the control group of this process")


def test_temporary_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert the_finding(machine, "temporary-files").level == "fine"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    finding = the_finding(machine, "temporary-files")
    assert (finding.level, finding.text) == ("problem", "cannot be written (No such file or directory)")


# Packages ------------------------------------------------------------------------------------------

FAKE = """skdpipe
9.0
Requires-Dist: numpy>=2
Requires-Dist: no-such-package>=1
Requires-Dist: pillow>=99
Provides-Extra: all
Provides-Extra: report
Provides-Extra: rtmlib
Provides-Extra: onnx
Requires-Dist: pyyaml>=6; extra == 'report'
Requires-Dist: no-such-package-either>=2; extra == 'rtmlib'
Requires-Dist: opencv-contrib-python>=4; extra == 'onnx'
Requires-Dist: rich<1; extra == 'onnx'"""


def test_what_is_missing_and_what_does_not_fit_is_found_by_metadata(on_path: OnPath) -> None:
    assert the_finding(packages, "required").level == "fine"
    on_path(metadata=FAKE)
    found = findings_of(packages, "required")
    assert levels(found) == {"no-such-package": "problem", "pillow": "problem"}
    assert [each.remedy for each in found] == ['pip install "no-such-package>=1"', 'pip install "pillow>=99"']
    extras = findings_of(packages, "extras")
    assert levels(extras) == {"extra-onnx": "warning", "extra-report": "fine", "extra-rtmlib": "note"}
    assert "rich " in extras[0].text
    assert "opencv" not in extras[0].text  # opencv-python has the same files
    assert extras[2].text.endswith("not installed (no-such-package-either)")


def test_a_package_of_an_older_version_is_found(on_path: OnPath) -> None:
    on_path(metadata="numpy\n1.9.0")
    finding = the_finding(packages, "required")
    assert (finding.name, finding.level) == ("numpy", "problem")
    assert finding.text.startswith("numpy 1.9.0, expected ")


def test_every_extra_has_a_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"].keys() - {"all"} <= packages.PURPOSES.keys()


# PyTorch -------------------------------------------------------------------------------------------


def test_pytorch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert the_finding(pytorch, "torch").text.startswith(torch.__version__)
    assert findings_of(pytorch, "computation")[0].level == "fine"
    monkeypatch.setattr(torch.nn.functional, "conv1d", lambda *_: torch.zeros(3))
    finding = findings_of(pytorch, "computation")[0]
    assert finding.level == "problem"
    assert finding.text == "cpu: a convolution is [0.0, 0.0, 0.0], expected [-5, -6, -7]"


def test_without_torch_a_note_says_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = the_finding(pytorch, "torch")
    assert (finding.level, finding.remedy[:11]) == ("note", "pip install")
    assert [findings_of(pytorch, each) for each in ("threads", "gpu", "computation")] == [[], [], []]


def test_more_threads_than_cores_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("skdpipe.runtimes.available_cores", lambda: 4)
    for threads, level in ((8, "warning"), (4, "fine"), (1, "note")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert the_finding(pytorch, "threads").level == level


@pytest.mark.parametrize(
    ("built_for", "code", "driver", "level", "text"),
    [
        ("13.0", None, (0, 0), "fine", "no NVIDIA GPU; networks run on the processor"),
        ("13.0", 100, (12, 4), "fine", "no NVIDIA GPU; networks run on the processor"),
        (None, 0, (12, 4), "warning", "(CUDA 12.4) is there, but this torch has no CUDA"),
        (
            "13.0",
            0,
            (12, 4),
            "warning",
            "(CUDA 12.4) is older than torch, built for CUDA 13.0",
        ),
        ("12.4", 803, (12, 4), "warning", "(CUDA 12.4) does not start (code 803)"),
        ("12.4", 0, (13, 0), "warning", "(CUDA 13.0) works, but torch finds no GPU"),
    ],
)
def test_why_torch_has_no_gpu(
    built_for: str | None, code: int | None, driver: tuple[int, int], level: str, text: str
) -> None:
    finding = pytorch.explain_missing_gpu(built_for, code, driver)
    assert (finding.level, finding.text.removeprefix("NVIDIA's driver ")) == (level, text)


# OpenPifPaf ----------------------------------------------------------------------------------------


def test_the_extension_loads_and_the_embedded_networks_find_the_people() -> None:
    assert the_finding(openpifpaf, "extension").level == "fine"
    found = findings_of(openpifpaf, "people")
    assert levels(found) == {"actors-high": "fine", "actors-low": "fine"}


def place_of_extension(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the extension of an OpenPifPaf that comes first on the path."""
    package = folder / "site/openpifpaf"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder / "site")
    monkeypatch.delitem(sys.modules, "openpifpaf", raising=False)
    return package / "_cpp.so"


def test_an_extension_for_another_torch_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of torch 2.11 for an extension compiled for 2.12: a symbol of torch that is not there."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler")
    code = tmp_path / "extension.c"
    code.write_text(
        "void _ZNR5torch7Library4_defE(void);"
        "__attribute__((constructor)) void load(void) { _ZNR5torch7Library4_defE(); }"
    )
    extension = place_of_extension(tmp_path, monkeypatch)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(extension), str(code)], check=True)
    finding = the_finding(openpifpaf, "extension")
    assert (finding.level, finding.text.split(" (")[0][:26]) == ("problem", "compiled for another torch")
    assert "_cpp.so: undefined symbol: _ZNR5torch7Library4_defE" in finding.text
    assert "--no-build-isolation --no-cache-dir" in finding.remedy


def test_an_extension_that_is_damaged_or_missing_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = place_of_extension(tmp_path, monkeypatch)
    assert "there is no C++ extension" in the_finding(openpifpaf, "extension").text
    extension.write_bytes(b"no library")
    assert the_finding(openpifpaf, "extension").text.startswith("cannot be loaded (OSError: _cpp.so: ")


def test_the_share_of_joints_found() -> None:
    x = np.arange(4.0)
    truth = np.stack([np.stack([x, 10 * x, np.ones(4)], axis=1)] * 2)  # 30 pixels high
    truth[1, :, 0] += 100
    found = truth[::-1].copy()  # in another order
    assert openpifpaf.share_found(found, truth) == 1.0
    found[0, :2, 0] += 5  # more than a tenth of the height
    assert openpifpaf.share_found(found, truth) == 0.75
    assert openpifpaf.share_found(found[:0], truth) == 0.0


# Videos --------------------------------------------------------------------------------------------


def test_the_decoder_and_opencv_work() -> None:
    assert the_finding(videos, "decoder").text.startswith("PyAV ")
    assert findings_of(videos, "opencv")[-1].level == "fine"


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_codec_is_encoded_and_decoded(codec: VideoCodec) -> None:
    finding = the_finding(videos, codec.name)
    assert finding.level == ("fine" if codec.has_decoder and codec.encoder else "note"), finding


@pytest.mark.parametrize(
    ("codec", "level", "text"),
    [
        (VideoCodec("H.264", "h26x", ("libx264",), ".mp4"), "problem", "no decoder: H.264 videos cannot be"),
        (VideoCodec("VP9", "vp99", ("libx264",), ".mp4"), "warning", "no decoder: VP9 videos cannot be read"),
        (VideoCodec("VP9", "vp9", ("libnone",), ".webm"), "note", "without an encoder it was not tried"),
        (VideoCodec("H.264", "h264", ("libnone",), ".mp4"), "warning", "and no video can be written"),
        (VideoCodec("VP9", "vp9", ("libx264",), ".webm"), "warning", "(by libx264)"),  # not in WebM
        (VideoCodec("MPEG-4", "mpeg4", ("gif",), ".gif"), "warning", "(by gif)"),  # another pixel format
    ],
)
def test_a_codec_that_does_not_work(codec: VideoCodec, level: str, text: str) -> None:
    finding = videos.examine(codec)
    assert (finding.level, text in finding.text) == (level, True), finding


def test_wrong_frames_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = VideoCodec("MPEG-4", "mpeg4", ("mpeg4",), ".avi")
    from skdpipe.video import read_frames

    for wrong, text in (
        (lambda path: list(read_frames(path))[1:], "5 of 6 frames are decoded"),
        (lambda path: [255 - each for each in read_frames(path)], "decoded frames differ by "),
        (lambda path: list(read_frames(path))[::-1], "decoded frames differ by "),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("skdpipe.video.read_frames", wrong)
            assert videos.examine(codec).text.startswith(text)


def test_the_checked_codecs_are_those_of_the_table() -> None:
    assert [name for name in videos.CHECKS if name not in {"decoder", "opencv"}] == [c.name for c in CODECS]


@pytest.mark.parametrize("same", [True, False])
def test_two_packages_of_opencv(on_path: OnPath, same: bool) -> None:
    from importlib.metadata import version

    on_path(metadata=f"opencv-contrib-python\n{version('opencv-python') if same else '4.10.0.84'}")
    found = levels(findings_of(videos, "opencv"))
    assert found == {"opencv-packages": "note" if same else "problem", "opencv": "fine"}


def test_an_opencv_that_computes_wrongly_or_lacks_a_library(
    on_path: OnPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "resize", lambda *_, **__: np.array([[7]]))
    assert findings_of(videos, "opencv")[-1].level == "problem"
    on_path(cv2="raise ImportError('libGL.so.1: cannot open shared object file')")
    found = run_checks([["videos"]], HERE, QUIET)["videos"]
    assert levels(found) == {"decoder": "problem", "opencv": "problem"}
    assert "libGL.so.1" in found[-1].text


# Runtimes ------------------------------------------------------------------------------------------


def test_the_tiny_model_is_what_it_says() -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Relu", ["xw"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1, -2, 3, 4])],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="skdpipe"
    )
    assert onnx.load_from_string(runtimes.TINY_MODEL) == model


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    assert the_finding(runtimes, name).level == "fine"
    for outcome, level in (([[[4.0, 2.0], [0.0, 1.0]]], "problem"), (RuntimeError("no kernel"), "problem")):

        def session(_: object, outcome: Any = outcome) -> list[Any]:
            if isinstance(outcome, Exception):
                raise outcome
            return [np.array(each) for each in outcome]

        with monkeypatch.context() as patch:
            patch.setattr("skdpipe.runtimes.open_session", lambda *_, session=session: session)
            assert the_finding(runtimes, name).level == level
    monkeypatch.setitem(sys.modules, name, None)
    assert the_finding(runtimes, name).level == "note"


def test_bfloat16_and_the_export() -> None:
    pytest.importorskip("openvino")
    assert [the_finding(runtimes, each).level for each in ("bfloat16", "export")] == ["fine", "fine"]


# Weights -------------------------------------------------------------------------------------------


def test_embedded_weights_are_compared_with_their_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert levels(findings_of(weights, "embedded")) == {"actors-high": "fine", "actors-low": "fine"}
    content = bytearray(weights_file.embedded_path("actors-low").read_bytes())
    content[-1] ^= 1
    (tmp_path / "actors-low").write_bytes(content)
    monkeypatch.setattr(weights_file, "embedded_path", lambda name: tmp_path / name)
    missing, altered = findings_of(weights, "embedded")
    assert (missing.level, missing.text.endswith("does not exist")) == ("problem", True)
    assert (altered.level, altered.text.endswith("has other weights than published")) == ("problem", True)
    (tmp_path / "actors-low").write_bytes(content[:-1])
    assert "cannot be read" in findings_of(weights, "embedded")[1].text


def write_downloaded() -> Path:
    path = user_cache() / "mobilenetv3small.safetensors"
    metadata = {
        "format": weights_file.FORMAT, "backbone": "mobilenetv3small", "upsample": "1", "notes": "{}",
    }  # fmt: skip
    write_tensors(path, {"weight": np.arange(6, dtype=np.float32)}, metadata)
    return path


def test_downloaded_weights_are_verified() -> None:
    assert findings_of(weights, "downloaded") == []
    path = write_downloaded()
    assert the_finding(weights, "downloaded").level == "fine"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    finding = the_finding(weights, "downloaded")
    assert (finding.name, finding.level) == ("mobilenetv3small", "problem")
    assert "fetch mobilenetv3small" in finding.remedy
    path.unlink()
    (published,) = (each for each in catalogue.PUBLISHED if each.name == "resnet50")
    (user_cache() / published.file).write_bytes(b"half of it")
    finding = the_finding(weights, "downloaded")
    assert (finding.name, "is not that in its name" in finding.text) == ("resnet50", True)


def test_exported_networks_and_leftovers() -> None:
    assert findings_of(weights, "exported") == findings_of(weights, "leftovers") == []
    exported_network("key-1", lambda: b"a model")
    assert the_finding(weights, "exported").text.startswith("1 exported networks, 7 bytes, checksums right")
    (path,) = (user_cache() / "exported").iterdir()
    path.write_bytes(b"another")
    assert the_finding(weights, "exported").level == "warning"
    (user_cache() / "some.pkl.part").write_bytes(bytes(2000))
    finding = the_finding(weights, "leftovers")
    assert (finding.level, finding.text[:25]) == ("note", "1 unfinished files, 2 kB,")


def estimator(**settings: object) -> Setup:
    changes = [f"extraction.low.{name}={json.dumps(value)}" for name, value in settings.items()]
    return Setup("demo", tuple(changes))


@pytest.mark.parametrize(
    ("settings", "level", "text"),
    [
        ({}, "fine", "actors-low: present"),
        ({"backbone": "mobilenetv3small", "weights": "mobilenetv3small"}, "note", "6 MB are downloaded"),
        ({"weights": "resnet19"}, "problem", "no weights are published as 'resnet19'"),
        ({"weights": "mine.safetensors"}, "problem", "no pose weights at mine.safetensors"),
        ({"weights": "mine.pkl"}, "problem", "mine.pkl does not exist"),
        ({"backbone": "resnet18"}, "problem", "contains weights of shufflenetv2x1, not of resnet18"),
    ],
)
def test_the_weights_of_the_config(settings: dict[str, object], level: str, text: str) -> None:
    high, low = findings_of(weights, "config", estimator(**settings))
    assert (high.name, high.level) == ("high-quality", "fine")
    assert (low.level, text in low.text) == (level, True), low


@pytest.mark.parametrize(
    ("low", "level"),
    [
        ({"kind": "rtmlib"}, "note"),
        ({"kind": "rtmlib", "detector": "none.onnx"}, "problem"),
        ({"kind": "rtmlib", "model": "rtmo", "pose": __file__}, "fine"),
        ({"plugin": BOX_PLUGIN}, "fine"),
        ({"plugin": "none.py:Box"}, "problem"),
    ],
)
def test_the_files_of_other_estimators(low: dict[str, str], level: str) -> None:
    setup = Setup("demo", (f"extraction.low={json.dumps(low)}",))
    assert findings_of(weights, "config", setup)[1].level == level


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server that has one file."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if self.path.startswith("/file-") else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("file", "level"), [("file-0123abcd.pkl", "note"), ("none-0123abcd.pkl", "problem")])
def test_addresses_are_tried_if_wanted(
    address: str, file: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = PublishedWeights("tiny", "shufflenetv2x1", (f"{address}/{file}",), 1, None)
    monkeypatch.setattr(catalogue, "PUBLISHED", (published,))
    setup = Setup("demo", ("extraction.low.weights=tiny",), online=True)
    finding = findings_of(weights, "config", setup)[1]
    assert (finding.level, "404" in finding.text) == (level, level == "problem")


# Pose cache ----------------------------------------------------------------------------------------


def test_a_healthy_cache(tmp_path: Path) -> None:
    setup = Setup(cache=fill(PoseCache(tmp_path / "cache")).root)
    found = [each for check in pose_cache.CHECKS for each in findings_of(pose_cache, check, setup)]
    assert levels(found) == {"folder": "fine", "entries": "fine"}
    assert found[1].text.startswith("all 24 entries read in full, ")


def test_damaged_entries_are_found_in_the_sample_or_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = fill(PoseCache(tmp_path / "cache"))
    monkeypatch.setattr(pose_cache, "_SAMPLE", 5)
    path = sorted((tmp_path / "cache/high/eyes-1").iterdir())[1]  # not in the sample
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    sampled = the_finding(pose_cache, "entries", Setup(cache=cache.root))
    assert (sampled.level, sampled.text[:26]) == ("fine", "5 of 24 entries read in fu")
    finding = the_finding(pose_cache, "entries", Setup(cache=cache.root, thorough=True))
    assert (finding.level, f"1 damaged: {path} (" in finding.text) == ("problem", True)


def test_a_cache_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), of_each=1).root
    assert the_finding(pose_cache, "folder", Setup(cache=tmp_path / "none")).level == "note"
    (tmp_path / "file").touch()
    assert the_finding(pose_cache, "folder", Setup(cache=tmp_path / "file")).level == "problem"
    if sys.platform == "linux":
        assert "cannot be written" in the_finding(pose_cache, "folder", Setup(cache=Path("/proc"))).text
    monkeypatch.setattr(pose_cache, "_can_lock", lambda _: False)
    assert the_finding(pose_cache, "folder", Setup(cache=cache)).level == "warning"
    assert sorted(each.name for each in cache.iterdir()) == ["high", "low"]


def test_leftovers_and_few_free_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), of_each=1).root
    (cache / "high/eyes-1" / f".skdpipe-{32 * 'a'}.part").write_bytes(bytes(10))
    finding = the_finding(pose_cache, "leftovers", Setup(cache=cache))
    assert (finding.level, finding.text[:19]) == ("note", "1 unfinished files ")
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=9000, f_favail=12))
    assert the_finding(pose_cache, "file-count", Setup(cache=cache / "below")).level == "warning"


# What the config needs -----------------------------------------------------------------------------


def test_the_config_is_read() -> None:
    assert the_finding(needs, "config").text == "published with extraction and experiment"
    assert the_finding(needs, "config", Setup("penn")).text == "penn with experiment"
    for setup in (Setup("nothing"), Setup("demo", ("recipe.batch=3",)), Setup("demo", ("experiment.x=3",))):
        assert the_finding(needs, "config", setup).level == "problem"
        assert findings_of(needs, "training", setup) == []
    assert findings_of(weights, "config", Setup("nothing")) == []


def test_videos_that_cannot_be_read(tmp_path: Path) -> None:
    for number, action in enumerate(ACTIONS):
        write_action_video(tmp_path / f"videos/{action}/{number}.mp4", action, number)
    found = findings_of(needs, "videos", Setup("demo", videos=(tmp_path / "videos",), cache=tmp_path))
    assert levels(found) == {"videos": "fine", "disk": "fine"}
    assert found[0].text == "2 videos, about 24 frames, can be opened"
    (tmp_path / "videos" / ACTIONS[0] / "bad.mp4").write_bytes(b"no video")
    found = findings_of(needs, "videos", Setup("demo", videos=(tmp_path / "videos",), cache=tmp_path))
    assert levels(found) == {"videos": "warning", "disk": "fine"}
    assert found[0].text.startswith("1 of 3 videos cannot be read: ")
    missing = findings_of(needs, "videos", Setup("demo", videos=(tmp_path / "none",)))
    assert levels(missing) == {"videos": "problem"}


@pytest.mark.parametrize(("free", "level"), [(99, "problem"), (199, "warning"), (200, "fine")])
def test_a_need_is_compared_with_what_is_free(free: int, level: str) -> None:
    finding = needs.compare("disk", 100, free, "skeletons", "in a folder")
    text = f"skeletons: about 100 bytes, {free} bytes free in a folder"
    assert (finding.level, finding.text) == (level, text)


@pytest.mark.parametrize(("frames", "every"), [(12, 1), (300, 1), (300, 2)])
def test_the_bytes_on_the_disk_are_those_of_a_real_extraction(
    tmp_path: Path, frames: int, every: int
) -> None:
    """Within 1.1 for the files, and a block for each."""
    path = write_action_video(tmp_path / "videos/a.mp4", ACTIONS[0], frames=frames)
    settings = PluginSettings(BOX_PLUGIN, every=every)
    extraction = skdpipe.Extraction(settings, settings, people=3)
    cache = PoseCache(tmp_path / "cache")
    skdpipe.extract_videos(skdpipe.find_videos(path), skdpipe.open_sources(extraction), cache, people=3)
    (entry,) = cache.entries("high")
    found, estimate = entry.path.stat().st_size, estimates.bytes_on_disk(frames, settings, people=3)
    assert found / 1.1 <= estimate <= 1.1 * found + 4096


def test_joints_of_estimators() -> None:
    assert estimates.joints_of(RtmlibSettings(body="coco-wholebody-133")) == 133
    assert estimates.joints_of(RtmlibSettings(body="halpe-26")) == 26


def test_bytes_of_clips() -> None:
    clip = ClipFormat(frames=10, people=2, layout="penn-13")
    assert estimates.bytes_of_clip(clip) == 2 * (2 * 3 * 10 * 13) * 4


def test_processes_of_a_loader_need_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup("demo", ("experiment.recipe.loader_workers=4",))
    if sys.platform == "linux":
        assert findings_of(needs, "shared-memory", setup) == []
        monkeypatch.setattr(needs, "_SHARED", tmp_path / "none")
        assert the_finding(needs, "shared-memory", setup).level == "problem"
        assert the_finding(needs, "shared-memory", Setup("demo")).level == "note"


TRAIN = """
import sys
from pathlib import Path
import torch
from moving_body import tiny_experiment
from skdpipe import PoseCache, distill_student
from skdpipe.config import ClipFormat, NetworkChoice, Recipe
from skdpipe.doctor.estimates import bytes_of_training
from skdpipe.memory import peak_memory

network = NetworkChoice("st_gcn", width=32)
experiment = tiny_experiment(
    clip=ClipFormat(frames=64), teacher=network, student=network, methods=("teacher",),
    recipe=Recipe(epochs=1, batch=16), calibration=0.0,
)
before = peak_memory()
distill_student(experiment, PoseCache(Path(sys.argv[1])), Path(sys.argv[2]), device=torch.device("cpu"))
print(peak_memory() - before, bytes_of_training(experiment, 24))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say what a process needs")
def test_the_memory_of_a_training_is_that_of_a_real_one(tmp_path: Path) -> None:
    """Within a factor of 1.6, beside that of the process."""
    cache = fill(PoseCache(tmp_path / "cache"), of_each=12).root
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path])}
    command = [sys.executable, "-c", TRAIN, str(cache), str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found, estimate = map(int, done.stdout.split()[-2:])
    assert found / 1.6 <= estimate <= 1.6 * found


def test_networks_that_are_chosen_by_the_number_of_clips() -> None:
    auto = tiny_experiment(teacher=NetworkChoice("auto"), student=NetworkChoice("auto"))
    few, many = (estimates.bytes_of_training(auto, clips) for clips in (10, 5000))
    assert many > few + 4990 * estimates.bytes_of_clip(auto.clip)
    huge, twice = (estimates.bytes_of_training(auto, clips) for clips in (10**7, 2 * 10**7))
    assert huge == twice  # more clips than the memory for them


# Command -------------------------------------------------------------------------------------------


def test_sizes() -> None:
    assert [size(each) for each in (0, 999, 1000, 1_234_000, 99_600_000, 20e9, 5e12)] == [
        "0 bytes", "999 bytes", "1 kB", "1.2 MB", "100 MB", "20 GB", "5 TB",
    ]  # fmt: skip


def test_the_whole_diagnosis_as_json(tmp_path: Path) -> None:
    """In an environment that runs these tests, nothing is wrong."""
    options = ["--config", "demo", "--json", "--cache", str(tmp_path)]
    command = [sys.executable, "-m", "skdpipe", "doctor", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    found = json.loads(done.stdout)
    assert done.returncode == 0, [each for each in found if each["level"] == "problem"]
    assert [each["subject"] for each in found] == sorted(
        (each["subject"] for each in found), key=list(SUBJECTS.values()).index
    )
    assert {each["subject"] for each in found} == set(SUBJECTS.values())
    assert all(each.keys() == {"subject", "name", "level", "text", "remedy"} for each in found)


def test_exit_codes_and_the_table(
    run: Run,  # noqa: F811
    tmp_path: Path,
    on_path: OnPath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("skdpipe.doctor.diagnosis._TOGETHER", (("pose_cache", "packages"),))
    cache = fill(PoseCache(tmp_path / "cache"), of_each=1).root
    output = run("doctor", "--cache", cache)
    assert (output.code, output.out.splitlines()[-1][:24]) == (0, "problems: 0, warnings: 0")
    assert max(map(len, output.out.splitlines())) <= 80
    on_path(metadata="jinja2\n0.1")
    assert run("doctor", "--cache", cache).code == 0
    strict = run("doctor", "--cache", cache, "--strict")
    assert (strict.code, "warning  extra-report" in strict.out) == (1, True)
    assert '→ pip install "skdpipe[report]"' in strict.out
    assert r"x\x1b[31m does not exist" in " ".join(run("doctor", "--cache", "x\x1b[31m").out.split())
    damaged = next((cache / "low/squint-1").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    output = run("doctor", "--cache", cache)
    assert (output.code, "problem  entries" in output.out) == (1, True)


def test_the_twin_takes_a_config_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skdpipe.doctor.diagnosis._TOGETHER", (("needs",),))
    (diagnosis,) = skdpipe.diagnose("nothing")
    assert (diagnosis.subject, diagnosis.count("problem")) == ("What the config needs", 1)
