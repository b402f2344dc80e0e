"""What is evaluated, as data: suites and dataset families, from their manifests. No image, no torch."""

from croftbench.rooms import callable_room

callable_room(__name__)
