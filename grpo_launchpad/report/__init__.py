"""The report of a run: `python -m grpo_launchpad.report runs/<name>` writes summary.json and report.html into it."""
