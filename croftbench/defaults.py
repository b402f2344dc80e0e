"""Where things are told if no option tells them, and the encoder that runs where none is named. Imports nothing."""

RESULTS = "CROFTBENCH_RESULTS"
CACHE = "CROFTBENCH_CACHE"
DATA = "CROFTBENCH_DATA"
MANIFESTS = "CROFTBENCH_MANIFESTS"
"""The variables of the four folders, see `croftbench.locations`."""

ENCODER = "CROFTBENCH_ENCODER"
DEVICE = "CROFTBENCH_DEVICE"

EMBEDDED = "emoji-clip/croftbench-2"
"""It ships with croftbench."""
