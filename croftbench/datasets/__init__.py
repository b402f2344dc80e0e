"""From a suite and a seed to the images of every role."""

from croftbench.datasets.draw import folds, tuning_folds
from croftbench.datasets.tables import Row, image_bytes, rows

__all__ = ["Row", "folds", "image_bytes", "rows", "tuning_folds"]
