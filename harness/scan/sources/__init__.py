"""Reading: what a release's sources say, without executing them."""
