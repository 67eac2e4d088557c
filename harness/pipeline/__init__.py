"""One combination on its way through the stages: checks, their runner and cache, checkpoints, GPU leases."""
