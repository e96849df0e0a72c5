"""Training within a budget: what may be spent, what was spent, and the training itself."""
