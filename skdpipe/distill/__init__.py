"""Structural knowledge distillation (Bian et al., 2021): teacher on high, student on low quality.

`methods` is the table of trained networks, `losses`, `edge_loss` and `gradients` are the paper's equations,
`objective` combines them, `training` is the training loop, `method_training` trains one method and
`experiment` all methods of a run; `cross_validation` repeats it on parts of the clips, and `conclusions`
states what the results mean.
"""

from skdpipe.distill.cross_validation import cross_validate, default_folds
from skdpipe.distill.experiment import DistillationResult, distill_student, finetune_student
from skdpipe.distill.methods import METHODS, Method, method_named
from skdpipe.distill.processes import Processes, device_of_process, joined_processes

__all__ = [
    "METHODS",
    "DistillationResult",
    "Method",
    "Processes",
    "cross_validate",
    "default_folds",
    "device_of_process",
    "distill_student",
    "finetune_student",
    "joined_processes",
    "method_named",
]
