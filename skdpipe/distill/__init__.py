"""Structural knowledge distillation: a teacher on good skeletons, a student on poor ones (Bian et al., 2021).

`losses` holds an equation in each function, `gradients` the revision, `objective` what each method
minimises, `training` the training loop, `experiment` the experiment.
"""

from skdpipe.distill.experiment import DISTILLED, NAMES, DistillationResult, distill_student, finetune_student

__all__ = ["DISTILLED", "NAMES", "DistillationResult", "distill_student", "finetune_student"]
