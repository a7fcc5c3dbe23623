"""What every process has: settings, certificates, logs, traces, threads."""
