"""Report writers, one file a format; they read results and nothing else."""
