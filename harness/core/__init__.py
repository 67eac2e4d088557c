"""Words and data that everything shares: verdicts, records, errors, files, the machine. Imports nothing of ours."""
