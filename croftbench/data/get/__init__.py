"""Bringing a family onto the disk."""
