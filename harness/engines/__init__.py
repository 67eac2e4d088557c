"""What the host side knows of each backend. Imports the matrix and what lies below it."""
