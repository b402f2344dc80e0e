"""The front door: every function that a notebook calls, and that a command calls once.

`croftbench` itself has them all, imported when they are asked for. Folders (`results`, `cache`, `data_root`,
`manifests`) are taken by every function that reads or writes there; None means the folder's variable,
CROFTBENCH_RESULTS and its kind, and its default where that is not set.

    inventory   what there is, by name: suites, methods, scorers, splits, encoders
    disk        what is on this machine: data sets, whole or not, and the cache
    doctoring   what this machine is, and what would stop or slow a run on it
    checking    whether manifests keep their rules
    running     methods on a suite
    evaluating  predictions that somebody made
    reading     runs on disk: tables, comparisons, pictures, the page
    sharing     runs for others: bundles, Every Eval Ever, the hub
    studying    questions that many runs answer: tuning, diagnosis, reproduction
    board       what a run returns
"""
