"""Environment and dependency compatibility harness for LMDeploy."""

__version__ = "0.1.0"
