"""What training did to energies and curvature: `curvature` measures, `sweep` fits and collects."""
