"""Structural knowledge distillation (Bian et al., 2021): teacher on high, student on low quality.

`methods` is the table of trained networks, `losses`, `edge_loss` and `gradients` are the paper's equations,
`objective` combines them, `training` is the training loop, `method_training` trains one method and
`experiment` all methods of a run.
"""

from skdpipe.distill.experiment import DistillationResult, distill_student, finetune_student
from skdpipe.distill.methods import METHODS, Method, method_named

__all__ = ["METHODS", "DistillationResult", "Method", "distill_student", "finetune_student", "method_named"]
