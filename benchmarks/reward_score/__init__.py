"""Side-by-side benchmark of answer scorers: see README.md in this folder."""
