"""What can be wrong with a training run, told from its metrics and its log while it runs and afterwards.

rules.py holds every rule with its threshold, source and remedy; monitor.py applies them step by step; console, watch
and report show what it finds.
"""
