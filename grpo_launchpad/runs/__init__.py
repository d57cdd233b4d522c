"""The run folder: the names of its files, the attempts recorded in it, and the lock of whoever works on it."""
