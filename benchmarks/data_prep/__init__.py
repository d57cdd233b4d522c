"""Speed and memory of data preparation."""
