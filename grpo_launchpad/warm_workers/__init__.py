"""Ray workers by fork: import PyTorch, vLLM and verl once, not once per process.

A verl run on one machine starts about eight Python processes, and each spends 5 to 10 seconds importing the same
modules, one after another. ``server.py`` imports them once and forks; Ray starts its workers with the script that
``server.py`` writes (Ray's own ``runtime_env.py_executable``), which hands the worker's command to the server.
"""
