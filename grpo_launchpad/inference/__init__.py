"""A model that answers: the engine, prompts as training has them, and the verbs predict, chat and serve."""
