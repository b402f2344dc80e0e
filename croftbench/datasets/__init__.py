"""From a suite and a seed to the images of every role."""

from croftbench.datasets.draw import fold, folds
from croftbench.datasets.roots import Located, Roots
from croftbench.datasets.tables import Row
from croftbench.datasets.tuning import tuning_folds

__all__ = ["Located", "Roots", "Row", "fold", "folds", "tuning_folds"]
