"""croftbench: vision-language models under covariate and semantic shift, in one run."""

__version__ = "0.2.0"
