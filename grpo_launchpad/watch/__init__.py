"""Look at a run from outside while it trains: from another terminal, or another node that sees its folder."""
