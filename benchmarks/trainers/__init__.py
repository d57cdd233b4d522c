"""verl, TRL and torch_trainer on one task, one model and one machine."""
