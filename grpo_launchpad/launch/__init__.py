"""A launch: what a launcher, the environment and the arguments say, put in one order, checked, started and recorded."""
