"""What a command works with: an opened project, its plan, its report kept current, and disk space given back."""
