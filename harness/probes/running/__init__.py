"""How a probe runs and speaks: requests, events, batches, exceptions."""
