"""A project's own files of packages: one module for each kind, and one that reads whichever it is given."""
