"""Looking for a family on disk."""
