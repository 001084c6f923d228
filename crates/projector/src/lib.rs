//! Reads the JetStream log, verifies it, folds it into the read model.
