"""Questions that many runs answer: tuning and diagnosis."""
