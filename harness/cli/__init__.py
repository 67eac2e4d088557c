"""Commands, options, console output, exit codes and nox sessions. May import everything else; nothing imports it."""
