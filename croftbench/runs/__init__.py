"""One run: what was asked, what came out, and the files that hold it."""
