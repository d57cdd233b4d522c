"""How good a model is: answers sampled through vLLM, scored as in training, with intervals."""
