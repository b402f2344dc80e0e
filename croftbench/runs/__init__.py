"""One run: what was asked, its numbers, and the files that hold it."""
