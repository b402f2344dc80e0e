"""Numbers from arrays, each with its interval."""
