"""Asking the record file: a small language, and a table made of the records for as long as the question takes."""
