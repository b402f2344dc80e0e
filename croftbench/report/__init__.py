"""Tables from finished runs: reads only files under the results folder; nothing here trains or scores."""
