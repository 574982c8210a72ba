"""Training of bottlenecks (`offramp.bottlenecks`): by distillation from a model left as it is."""
