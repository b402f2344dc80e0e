"""From a suite and a seed to the images of every role."""

from croftbench.draw.build import fold, folds
from croftbench.draw.held_out import tuning_folds

__all__ = ["fold", "folds", "tuning_folds"]
