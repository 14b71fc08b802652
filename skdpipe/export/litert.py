"""A network as a LiteRT (TensorFlow Lite) file.

The converter takes seconds to import, prints, and runs for a minute; it has a process of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skdpipe.engines import LocalEngine, Report, Work, Worker
from skdpipe.errors import SkdpipeError
from skdpipe.export.metadata import Fields
from skdpipe.export.parity import in_batches
from skdpipe.export.skeletons import Skeletons
from skdpipe.inference.model_input import Floats, Mask


@dataclass(frozen=True)
class _Job:
    """A bundle, the clips that are run, and where the network and its logits are written."""

    bundle: Path
    clips: Path
    model: Path
    logits: Path


def convert_to_litert(bundle: Path, clips: Skeletons) -> tuple[bytes, Floats]:
    """The network of a bundle, for a batch of one, and its logits ``(clip, class)`` of clips.

    Needs the packages litert-torch and ai-edge-litert.

    Raises:
        SkdpipeError: if the network cannot be converted.
    """
    with TemporaryDirectory() as where:
        folder = Path(where)
        job = _Job(bundle, folder / "clips.npz", folder / "model.tflite", folder / "logits.npy")
        np.savez(job.clips, x=clips.x, mask=clips.mask)
        for ended in LocalEngine(("cpu",)).run([job], _open_conversion):
            if ended.reason:
                raise SkdpipeError(
                    f"{bundle} cannot be converted to LiteRT ({ended.reason}); leave it out: --format onnx"
                )
        return job.model.read_bytes(), np.load(job.logits)


def _open_conversion(_: Worker) -> Work[_Job, None]:
    """Silence this process; the work converts a network and runs it."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    return _convert_and_run


def _convert_and_run(job: _Job, _: Report) -> None:
    import litert_torch
    import torch

    from skdpipe.bundle import load_bundle
    from skdpipe.networks import LogitsOnly, deployed

    clips = np.load(job.clips)
    found = Skeletons(clips["x"], clips["mask"], "", ())
    x, mask = in_batches(found, 1)[0]
    example = {"x": torch.from_numpy(x), "mask": torch.from_numpy(mask)}
    module = LogitsOnly(deployed(load_bundle(job.bundle).network)).eval()
    litert_torch.convert(module, sample_kwargs=example).export(str(job.model))
    run = LitertFile(job.model)
    np.save(job.logits, np.concatenate([run(*each) for each in in_batches(found, 1)]))


class LitertFile:
    """A written network on the processor, on one thread; its interpreter prints when it starts.

    Args:
        path: the file.
    """

    name = "litert"

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=1)
        self._run = self._interpreter.get_signature_runner()

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """See :class:`skdpipe.inference.Runtime`; of one clip."""
        (logits,) = self._run(x=x, mask=mask).values()
        return np.asarray(logits, np.float32)


def with_litert_metadata(model: bytes, fields: Fields) -> bytes:
    """A LiteRT model with metadata: a buffer for each field, named after it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    loaded = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    loaded.metadata = loaded.metadata or []
    for name, text in fields.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        entry.name, entry.buffer = name, len(loaded.buffers)
        loaded.buffers.append(buffer)
        loaded.metadata.append(entry)
    builder = flatbuffers.Builder(2 * len(model))
    builder.Finish(loaded.Pack(builder), b"TFL3")
    return bytes(builder.Output())
