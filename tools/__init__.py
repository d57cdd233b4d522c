"""Programs that keep the launchers in order: export, smoke runs, records and the tables made from them."""
