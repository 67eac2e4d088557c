"""Running many combinations: what is known, priority, budget, shards, executors. Above the pipeline."""
