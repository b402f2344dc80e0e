"""What is evaluated, as data: suites and dataset families, from their manifests. No image, no torch."""
