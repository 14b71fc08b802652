"""Structural knowledge distillation: a teacher on good skeletons, a student on poor ones (Bian et al., 2021).

`losses` holds an equation in each function, `gradients` the revision, `objectives` what each method
minimises, `loop` the training loop, `run` the experiment.
"""

from skdpipe.distill.run import DISTILLED, NAMES, DistillationResult, distill, finetune

__all__ = ["DISTILLED", "NAMES", "DistillationResult", "distill", "finetune"]
