"""Is this machine ready for training: facts of the machine, gathered once (facts.py), and what they mean (judge.py)."""
