"""Training of early exits: heads attached to a model, recipes, checkpoints. It needs torch."""
