//! The process: commands, configuration, signals, metrics.
