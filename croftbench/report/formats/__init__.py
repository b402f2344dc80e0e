"""The same tables as text of many kinds."""
